//! When two requests are the same request, and who may share an answer. Refuses to look at anything but its arguments.

use std::fmt;

use api::{ChatRequest, Tenant};
use blake3::Hasher;
use serde_json::{Map, Number, Value};

/// Fields of a request that change how an answer is delivered or accounted for, but not the answer.
const VOLATILE: [&str; 9] = [
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "request_id",
    "safety_identifier",
    "store",
    "stream",
    "stream_options",
    "user",
];

/// Fields with which an answer depends on more than the request.
const UNREPEATABLE: [&str; 1] = ["web_search_options"];

/// Within which answers may be shared: one tenant, one policy, one state of everything that decides answers. Every key is
/// made inside one, so entries of different scopes can never meet.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope([u8; 32]);

impl Scope {
    /// The scope of a tenant under a policy. `revision` names all else that decides what is answered: a hash of the
    /// configuration, the index and the models.
    pub fn of(tenant: &Tenant, policy: &str, revision: &str) -> Self {
        let mut hasher = Hasher::new();
        for part in [&tenant.name, policy, revision] {
            text(&mut hasher, part);
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// A scope inside this one for requests that differ in what their body does not tell: a task, a privacy or a budget
    /// header. The same `what` and `value` give the same scope.
    #[must_use]
    pub fn narrowed(&self, what: &str, value: &str) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(&self.0);
        text(&mut hasher, what);
        text(&mut hasher, value);
        Self(*hasher.finalize().as_bytes())
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({:02x}{:02x}{:02x}{:02x}..)", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

/// A request within a scope.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of a request whose answer may be given again to exactly the same request: a BLAKE3 hash of the body without
    /// its volatile fields and nulls, members of objects in any order, numbers by value. Everything else counts, fields
    /// that the gateway does not know included, as they may change the answer.
    ///
    /// `None` where an answer must not be given again: several sampled answers were asked for (`n` above 1 with a
    /// temperature above 0 asks for variety), or the answer depends on the moment (`web_search_options`). A single sampled
    /// answer can be given again; a client that wants a new one says `cache-control: no-cache`.
    pub fn exact(scope: &Scope, request: &ChatRequest) -> Option<Self> {
        let sampling = &request.sampling;
        let wants_variety =
            sampling.n > 1 && sampling.temperature.is_none_or(|temperature| temperature > 0.0);
        if wants_variety || UNREPEATABLE.iter().any(|field| present(&request.body, field)) {
            return None;
        }
        let mut hasher = Hasher::new();
        hasher.update(&scope.0);
        object(&mut hasher, &request.body, |field, value| !value.is_null() && !VOLATILE.contains(&field));
        Some(Self(*hasher.finalize().as_bytes()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:02x}{:02x}{:02x}{:02x}..)", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

fn present(body: &Map<String, Value>, field: &str) -> bool {
    body.get(field).is_some_and(|value| !value.is_null())
}

// === The canonical form: each value as a tag, its length where it has one, and its content ===

fn text(hasher: &mut Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

fn object(hasher: &mut Hasher, map: &Map<String, Value>, counts: impl Fn(&str, &Value) -> bool) {
    let mut members: Vec<(&str, &Value)> =
        map.iter().map(|(field, value)| (field.as_str(), value)).filter(|(f, v)| counts(f, v)).collect();
    members.sort_unstable_by_key(|(field, _)| *field);
    hasher.update(b"o");
    hasher.update(&(members.len() as u64).to_le_bytes());
    for (field, member) in members {
        text(hasher, field);
        value(hasher, member);
    }
}

fn value(hasher: &mut Hasher, any: &Value) {
    match any {
        Value::Null => {
            hasher.update(b"z");
        }
        Value::Bool(truth) => {
            hasher.update(if *truth { b"t" } else { b"f" });
        }
        Value::Number(numeral) => number(hasher, numeral),
        Value::String(content) => {
            hasher.update(b"s");
            text(hasher, content);
        }
        Value::Array(items) => {
            hasher.update(b"a");
            hasher.update(&(items.len() as u64).to_le_bytes());
            for item in items {
                value(hasher, item);
            }
        }
        Value::Object(map) => object(hasher, map, |_, _| true),
    }
}

/// By value, so that `1`, `1.0` and `1e0` are one number.
fn number(hasher: &mut Hasher, number: &Number) {
    /// Up to here every whole f64 is exactly one integer.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let float = number.as_f64().unwrap_or(f64::NAN);
    #[expect(clippy::cast_possible_truncation, reason = "whole and within the range of i64")]
    let whole = match (number.as_i64(), number.as_u64()) {
        (Some(signed), _) => Some(i128::from(signed)),
        (None, Some(unsigned)) => Some(i128::from(unsigned)),
        (None, None) if float.fract() == 0.0 && float.abs() <= EXACT_MAX => Some(i128::from(float as i64)),
        (None, None) => None,
    };
    match whole {
        Some(whole) => {
            hasher.update(b"i");
            hasher.update(&whole.to_le_bytes());
        }
        None => {
            hasher.update(b"d");
            hasher.update(&float.to_le_bytes());
        }
    }
}
