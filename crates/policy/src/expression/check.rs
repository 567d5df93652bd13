//! The types of an expression, found by walking its tree once.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators};

use super::Threshold;
use crate::facts::{Name, Type};
use crate::file::allowed;

/// What an expression reads.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) reads: Vec<Name>,
    pub(super) thresholds: Vec<Threshold>,
}

/// Checks that the whole expression is well-typed and answers yes or no.
pub(super) fn boolean(expression: &IdedExpr) -> Result<Found, String> {
    let mut walk = Walk { found: Found::default(), locals: Vec::new() };
    match walk.typed(expression)? {
        Type::Boolean => Ok(walk.found),
        other => Err(format!(
            "this expression gives {}, but a question is answered with yes or no: compare it with something, such as \
             >= 0.6",
            told(&other)
        )),
    }
}

struct Walk {
    found: Found,
    /// The names that `exists`, `all`, `filter` and `map` bring in, innermost last.
    locals: Vec<(String, Type)>,
}

impl Walk {
    fn typed(&mut self, expression: &IdedExpr) -> Result<Type, String> {
        match &expression.expr {
            Expr::Literal(literal) => literal_type(literal),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let mut element = Type::Anything;
                for item in &list.elements {
                    let item = self.typed(item)?;
                    element = unify(&element, &item)
                        .ok_or_else(|| format!("a list holds {} and {}", told(&element), told(&item)))?;
                }
                Ok(Type::List(Box::new(element)))
            }
            Expr::Comprehension(loop_) => self.comprehension(loop_),
            Expr::Map(_) | Expr::Struct(_) => Err("maps and structs are of no use in a question".into()),
            Expr::Unspecified => Err("this expression is empty".into()),
        }
    }

    fn name(&mut self, text: &str) -> Result<Type, String> {
        if let Some((_, kind)) = self.locals.iter().rev().find(|(local, _)| local == text) {
            return Ok(kind.clone());
        }
        let Some(name) = Name::find(text) else {
            return Err(format!("`{text}` is not a signal or a fact{}", allowed(text, Name::all())));
        };
        if !self.found.reads.contains(&name) {
            self.found.reads.push(name);
        }
        Ok(name.kind())
    }

    fn select(&mut self, select: &SelectExpr) -> Result<Type, String> {
        if select.test {
            return Err("`has(...)` is not needed: every signal and fact always has a value".into());
        }
        match &select.operand.expr {
            Expr::Ident(root) => self.name(&format!("{root}.{}", select.field)),
            _ => Err(format!("there is no field `{}` here", select.field)),
        }
    }

    fn call(&mut self, call: &CallExpr) -> Result<Type, String> {
        let target = call.target.as_deref();
        let arguments: Vec<&IdedExpr> = target.into_iter().chain(&call.args).collect();
        let types = arguments.iter().map(|argument| self.typed(argument)).collect::<Result<Vec<_>, _>>()?;
        self.note_threshold(&call.func_name, &arguments);
        check_values(&call.func_name, &arguments)?;
        result(&call.func_name, &types)
    }

    /// `signal >= number`, either way round.
    fn note_threshold(&mut self, operator: &str, arguments: &[&IdedExpr]) {
        let compares =
            [operators::GREATER, operators::GREATER_EQUALS, operators::LESS, operators::LESS_EQUALS];
        let [left, right] = arguments else { return };
        if !compares.contains(&operator) {
            return;
        }
        for (name, number) in [(left, right), (right, left)] {
            if let (Some(Name::Signal(signal)), Some(at)) = (named(name), number_of(number)) {
                self.found.thresholds.push(Threshold { signal, at });
            }
        }
    }

    fn comprehension(&mut self, loop_: &ComprehensionExpr) -> Result<Type, String> {
        let element = match self.typed(&loop_.iter_range)? {
            Type::List(element) => *element,
            other => return Err(format!("only a list can be gone through, not {}", told(&other))),
        };
        let start = self.typed(&loop_.accu_init)?;
        let depth = self.locals.len();
        self.locals.push((loop_.iter_var.clone(), element));
        self.locals.push((loop_.accu_var.clone(), start));
        self.typed(&loop_.loop_cond)?;
        let step = self.typed(&loop_.loop_step)?;
        if let Some((_, kind)) = self.locals.last_mut() {
            *kind = step;
        }
        let outcome = self.typed(&loop_.result);
        self.locals.truncate(depth);
        outcome
    }
}

/// The type of an operator's or a function's value.
fn result(function: &str, types: &[Type]) -> Result<Type, String> {
    use operators as op;
    match (function, types) {
        (op::LOGICAL_AND | op::LOGICAL_OR, [Type::Boolean, Type::Boolean])
        | (op::LOGICAL_NOT | op::NOT_STRICTLY_FALSE, [Type::Boolean]) => Ok(Type::Boolean),
        (op::EQUALS | op::NOT_EQUALS, [left, right]) if comparable(left, right) => Ok(Type::Boolean),
        (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, [left, right])
            if ordered(left) && comparable(left, right) =>
        {
            Ok(Type::Boolean)
        }
        (op::IN, [item, Type::List(element)]) if comparable(item, element) => Ok(Type::Boolean),
        (op::CONDITIONAL, [Type::Boolean, yes, no]) => {
            unify(yes, no).ok_or_else(|| format!("the two branches are {} and {}", told(yes), told(no)))
        }
        (op::ADD | op::SUBSTRACT | op::MULTIPLY, [Type::Integer, Type::Integer])
        | (op::NEGATE, [Type::Integer])
        | ("size", [Type::Text | Type::List(_)]) => Ok(Type::Integer),
        (op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE, [Type::Number, Type::Number])
        | (op::NEGATE, [Type::Number])
        | ("double", [Type::Integer | Type::Number]) => Ok(Type::Number),
        (op::ADD, [Type::Text, Type::Text]) => Ok(Type::Text),
        (op::ADD, [left @ Type::List(_), right @ Type::List(_)]) => {
            unify(left, right).ok_or_else(|| "lists of different things cannot be joined".into())
        }
        ("contains" | "startsWith" | "endsWith", [Type::Text, Type::Text]) => Ok(Type::Boolean),
        _ => Err(refusal(function, types)),
    }
}

const FUNCTIONS: &[&str] =
    &["size", "contains", "startsWith", "endsWith", "double", "exists", "all", "exists_one", "filter", "map"];

fn refusal(function: &str, types: &[Type]) -> String {
    let symbol = function.trim_matches('_').trim_start_matches('@').to_owned();
    let listed = types.iter().map(told).collect::<Vec<_>>().join(" and ");
    if function == operators::INDEX || function == operators::OPT_INDEX {
        return "places in a list cannot be asked for; use `in` or `exists`".into();
    }
    if function == operators::MODULO {
        return "`%` is of no use in a question".into();
    }
    if types == [Type::Integer, Type::Number] || types == [Type::Number, Type::Integer] {
        return format!("`{symbol}` needs two numbers of one kind: write double(...) around the whole one");
    }
    if function.contains('_') || function.starts_with('@') || FUNCTIONS.contains(&function) {
        return format!("`{symbol}` does not go with {listed}");
    }
    format!("there is no function `{function}`{}", allowed(function, FUNCTIONS.iter().copied()))
}

/// Refuses a comparison with a text that the name can never be: `kind == "reasonning"`.
fn check_values(operator: &str, arguments: &[&IdedExpr]) -> Result<(), String> {
    let [left, right] = arguments else { return Ok(()) };
    for (name, other) in [(left, right), (right, left)] {
        let Some(name) = named(name) else { continue };
        let Some(values) = name.values() else { continue };
        let texts: Vec<&str> = match (operator, &other.expr) {
            (operators::EQUALS | operators::NOT_EQUALS, Expr::Literal(LiteralValue::String(text))) => {
                vec![text.inner()]
            }
            (operators::IN, Expr::List(list)) => list.elements.iter().filter_map(text_of).collect(),
            _ => continue,
        };
        if let Some(wrong) = texts.iter().find(|text| !values.contains(text)) {
            let hint = allowed(wrong, values.iter().copied());
            return Err(format!("`{}` is never `{wrong}`{hint}", name.spelling()));
        }
    }
    Ok(())
}

fn text_of(expression: &IdedExpr) -> Option<&str> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

fn named(expression: &IdedExpr) -> Option<Name> {
    match &expression.expr {
        Expr::Ident(name) => Name::find(name),
        Expr::Select(select) if !select.test => match &select.operand.expr {
            Expr::Ident(root) => Name::find(&format!("{root}.{}", select.field)),
            _ => None,
        },
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "thresholds are small")]
fn number_of(expression: &IdedExpr) -> Option<f64> {
    match &expression.expr {
        Expr::Literal(LiteralValue::Double(number)) => Some(*number.inner()),
        Expr::Literal(LiteralValue::Int(number)) => Some(*number.inner() as f64),
        Expr::Literal(LiteralValue::UInt(number)) => Some(*number.inner() as f64),
        _ => None,
    }
}

fn literal_type(literal: &LiteralValue) -> Result<Type, String> {
    match literal {
        LiteralValue::Boolean(_) => Ok(Type::Boolean),
        LiteralValue::Double(_) => Ok(Type::Number),
        LiteralValue::Int(_) => Ok(Type::Integer),
        LiteralValue::String(_) => Ok(Type::Text),
        LiteralValue::UInt(_) => Err("write whole numbers without `u`".into()),
        LiteralValue::Bytes(_) => Err("bytes are of no use in a question".into()),
        LiteralValue::Null => Err("nothing is ever null here".into()),
    }
}

fn numeric(kind: &Type) -> bool {
    matches!(kind, Type::Integer | Type::Number)
}

fn ordered(kind: &Type) -> bool {
    numeric(kind) || *kind == Type::Text
}

fn comparable(left: &Type, right: &Type) -> bool {
    (numeric(left) && numeric(right)) || unify(left, right).is_some()
}

fn unify(left: &Type, right: &Type) -> Option<Type> {
    match (left, right) {
        (Type::Anything, other) | (other, Type::Anything) => Some(other.clone()),
        (Type::List(left), Type::List(right)) => {
            unify(left, right).map(|element| Type::List(Box::new(element)))
        }
        _ => (left == right).then(|| left.clone()),
    }
}

fn told(kind: &Type) -> &'static str {
    match kind {
        Type::Boolean => "yes or no",
        Type::Integer => "a whole number",
        Type::Number => "a number",
        Type::Text => "a text",
        Type::List(_) => "a list",
        Type::Anything => "anything",
    }
}
