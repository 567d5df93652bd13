//! A question's condition: a CEL expression, checked when it is read and evaluated for each request.
//!
//! Owns which part of the language a policy may use: comparisons, logic, arithmetic that cannot fail, membership, and
//! the plain functions on texts and lists. Refuses unknown names, mixed types and whatever could fail on a request.

mod check;

use std::sync::{Arc, LazyLock};

use cel::common::types::CelBool;
use cel::context::VariableResolver;
use cel::{Context, Env, Program, Value};

use crate::facts::Name;

/// A longer text is no question that a person can check.
const SOURCE_CHARS_MAX: usize = 4_000;

/// A checked condition.
#[derive(Debug)]
pub(crate) struct Expression {
    program: Program,
    reads: Vec<Name>,
    thresholds: Vec<Threshold>,
}

/// A number that an expression compares a signal with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Threshold {
    pub(crate) signal: api::Signal,
    pub(crate) at: f64,
}

impl Expression {
    /// Parses and checks `source`; the error is a sentence for the operator.
    pub(crate) fn compile(source: &str) -> Result<Self, String> {
        if source.chars().count() > SOURCE_CHARS_MAX {
            return Err(format!("this expression is longer than {SOURCE_CHARS_MAX} characters"));
        }
        let program = Program::compile(source).map_err(|errors| syntax(&errors))?;
        let found = check::boolean(program.expression())?;
        Ok(Self { program, reads: found.reads, thresholds: found.thresholds })
    }

    /// What the expression reads, each name once, in the order in which it is written.
    pub(crate) fn reads(&self) -> &[Name] {
        &self.reads
    }

    /// The numbers that signals are compared with.
    pub(crate) fn thresholds(&self) -> &[Threshold] {
        &self.thresholds
    }

    /// The answer for one request. The check leaves one way to fail: whole numbers beyond 64 bits.
    pub(crate) fn holds(&self, context: &Context<'_, '_>) -> Result<bool, String> {
        let value =
            Value::resolve_val(self.program.expression(), context).map_err(|error| error.to_string())?;
        value
            .downcast_ref::<CelBool>()
            .map(|answer| *answer.inner())
            .ok_or_else(|| "it is not yes or no".into())
    }
}

/// What evaluates expressions against one request.
pub(crate) fn context<'v>(view: &'v dyn VariableResolver) -> Context<'v, 'v> {
    /// The functions of the language; building them takes longer than asking ten questions.
    static FUNCTIONS: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));
    let mut context = Context::with_env(Arc::clone(&FUNCTIONS));
    context.set_variable_resolver(view);
    context
}

fn syntax(errors: &cel::ParseErrors) -> String {
    let first = errors.errors.first().map(|error| {
        let (line, column) = error.pos;
        let place =
            if line > 1 { format!("line {line}, column {column}") } else { format!("column {column}") };
        let message = error.msg.lines().next().unwrap_or("");
        format!(" ({place}: {message})")
    });
    let first = first.unwrap_or_default();
    format!(
        "this is not an expression that can be read{first}; an example: reasoning >= 0.6 && tokens_in > 500"
    )
}

#[cfg(test)]
mod tests;
