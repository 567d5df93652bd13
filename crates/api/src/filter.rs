//! What a caller wants of documents' attributes: OpenAI's filters of vector stores, checked once and then asked of any
//! document. A filter only narrows what a search may find.

use std::cmp::Ordering;

use crate::{Error, Fault};
use serde_json::{Map, Value};

/// Filters inside filters.
const DEPTH_MAX: usize = 8;

/// Comparisons and their groups, all together.
const CONDITIONS_MAX: usize = 128;

/// Values of one `in` or `nin`.
const VALUES_MAX: usize = 1_000;

/// Bytes of a key, and of a string that is compared.
const TEXT_BYTES_MAX: usize = 1_024;

const TYPES: &str = "eq, ne, gt, gte, lt, lte, in, nin, and, or";

/// A condition on a document's attributes, such as `{"type": "eq", "key": "team", "value": "ops"}`, and groups of them
/// under `and` and `or`.
///
/// Strings compare with strings by code points, numbers with numbers, booleans for equality alone. A document without
/// the key, or with a value of another kind, is not equal to anything, nor above or below it: `ne` and `nin` take it,
/// the others do not.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(Condition);

/// What a [`Filter`] is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// All of them hold.
    All(Vec<Self>),
    /// One of them holds.
    Any(Vec<Self>),
    /// The attribute `key` passes `test`.
    Attribute {
        /// Its name.
        key: String,
        /// What is asked of it.
        test: Test,
    },
}

/// What is asked of one attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// It equals one of these.
    OneOf(Vec<Scalar>),
    /// It equals none of these, or is not there.
    NoneOf(Vec<Scalar>),
    /// It stands to this as one of two orders says.
    Ordered(Side, Scalar),
}

/// Where a value must lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Over it.
    Above,
    /// Over it, or it.
    AtLeast,
    /// Under it.
    Below,
    /// Under it, or it.
    AtMost,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// A text.
    Text(String),
    /// A whole number.
    Whole(i128),
    /// A number with decimals.
    Real(f64),
    /// True or false.
    Truth(bool),
}

impl Filter {
    /// Reads a filter; `path` is what errors call it, such as `filters`.
    ///
    /// # Errors
    /// It is not one, or is too deep or too large: the error's `param` is the path of the offending part.
    pub fn parse(value: &Value, path: &str) -> Result<Self, Error> {
        let mut left = CONDITIONS_MAX;
        Ok(Self(Condition::parse(value, path, DEPTH_MAX, &mut left)?))
    }

    /// What both let pass.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(Condition::All(vec![self.0, other.0]))
    }

    /// Whether a document with these attributes may be found.
    pub fn admits(&self, attributes: &Map<String, Value>) -> bool {
        self.0.admits(attributes)
    }

    /// What must hold.
    pub fn condition(&self) -> &Condition {
        &self.0
    }
}

impl Condition {
    fn parse(value: &Value, path: &str, depth_left: usize, left: &mut usize) -> Result<Self, Error> {
        if depth_left == 0 {
            return Err(wrong(path, format!("filters may be nested {DEPTH_MAX} deep")));
        }
        *left = left
            .checked_sub(1)
            .ok_or_else(|| wrong(path, format!("a filter may have {CONDITIONS_MAX} conditions")))?;
        let object = value.as_object().ok_or_else(|| wrong(path, "must be an object"))?;
        let kind = match object.get("type") {
            Some(Value::String(kind)) => kind.as_str(),
            _ => return Err(wrong(&format!("{path}.type"), format!("must be one of {TYPES}"))),
        };
        match kind {
            "and" | "or" => {
                only(object, path, &["type", "filters"])?;
                let parts = Self::parts(object.get("filters"), &format!("{path}.filters"), depth_left, left)?;
                Ok(if kind == "and" { Self::All(parts) } else { Self::Any(parts) })
            }
            _ => {
                only(object, path, &["type", "key", "value"])?;
                let test = Test::parse(kind, object.get("value"), path)?;
                Ok(Self::Attribute { key: key(object.get("key"), path)?, test })
            }
        }
    }

    fn parts(
        value: Option<&Value>,
        path: &str,
        depth_left: usize,
        left: &mut usize,
    ) -> Result<Vec<Self>, Error> {
        let parts = value.and_then(Value::as_array).filter(|parts| !parts.is_empty());
        let parts = parts.ok_or_else(|| wrong(path, "must be an array of one filter or more"))?;
        let part = |(place, part)| Self::parse(part, &format!("{path}[{place}]"), depth_left - 1, left);
        parts.iter().enumerate().map(part).collect()
    }

    fn admits(&self, attributes: &Map<String, Value>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.admits(attributes)),
            Self::Any(parts) => parts.iter().any(|part| part.admits(attributes)),
            Self::Attribute { key, test } => test.passes(attributes.get(key).and_then(Scalar::of).as_ref()),
        }
    }
}

impl Test {
    fn parse(kind: &str, value: Option<&Value>, path: &str) -> Result<Self, Error> {
        let path_of_value = format!("{path}.value");
        let one = || Scalar::parse(value, &path_of_value);
        let ordered = |side| match one()? {
            Scalar::Truth(_) => {
                Err(wrong(&path_of_value, "must be a number or a string: booleans have no order"))
            }
            scalar => Ok(Self::Ordered(side, scalar)),
        };
        match kind {
            "eq" => Ok(Self::OneOf(vec![one()?])),
            "ne" => Ok(Self::NoneOf(vec![one()?])),
            "gt" => ordered(Side::Above),
            "gte" => ordered(Side::AtLeast),
            "lt" => ordered(Side::Below),
            "lte" => ordered(Side::AtMost),
            "in" => Ok(Self::OneOf(scalars(value, &path_of_value)?)),
            "nin" => Ok(Self::NoneOf(scalars(value, &path_of_value)?)),
            _ => Err(wrong(&format!("{path}.type"), format!("must be one of {TYPES}"))),
        }
    }

    /// Whether an attribute of this value, or one that is not there, passes.
    pub fn passes(&self, found: Option<&Scalar>) -> bool {
        match self {
            Self::OneOf(wanted) => found.is_some_and(|found| wanted.iter().any(|one| found.equals(one))),
            Self::NoneOf(unwanted) => {
                !found.is_some_and(|found| unwanted.iter().any(|one| found.equals(one)))
            }
            Self::Ordered(side, bound) => {
                found.and_then(|found| found.compare(bound)).is_some_and(|order| side.takes(order))
            }
        }
    }
}

impl Side {
    /// Whether a value that stands to the bound in this order is on this side of it.
    pub fn takes(self, order: Ordering) -> bool {
        match self {
            Self::Above => order.is_gt(),
            Self::AtLeast => order.is_ge(),
            Self::Below => order.is_lt(),
            Self::AtMost => order.is_le(),
        }
    }
}

impl Scalar {
    fn parse(value: Option<&Value>, path: &str) -> Result<Self, Error> {
        let scalar = value.and_then(Self::of);
        let scalar = scalar.ok_or_else(|| wrong(path, "must be a string, a number or a boolean"))?;
        match &scalar {
            Self::Text(text) if text.len() > TEXT_BYTES_MAX => {
                Err(wrong(path, format!("must be of at most {TEXT_BYTES_MAX} bytes")))
            }
            _ => Ok(scalar),
        }
    }

    /// An attribute's value; `None` for what no filter can ask about.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Bool(truth) => Some(Self::Truth(*truth)),
            Value::Number(number) => number.as_i128().map(Self::Whole).or(number.as_f64().map(Self::Real)),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn equals(&self, other: &Self) -> bool {
        self.compare(other).is_some_and(Ordering::is_eq)
    }

    /// How it stands to a value of its own kind.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Truth(a), Self::Truth(b)) => Some(a.cmp(b)),
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(b)),
            _ => self.real()?.partial_cmp(&other.real()?),
        }
    }

    fn real(&self) -> Option<f64> {
        match self {
            Self::Whole(number) => Some(*number as f64),
            Self::Real(number) => Some(*number),
            Self::Text(_) | Self::Truth(_) => None,
        }
    }
}

fn scalars(value: Option<&Value>, path: &str) -> Result<Vec<Scalar>, Error> {
    let values = value.and_then(Value::as_array);
    let values = values.ok_or_else(|| wrong(path, "must be an array of strings, numbers or booleans"))?;
    if values.len() > VALUES_MAX {
        return Err(wrong(path, format!("may have {VALUES_MAX} values")));
    }
    let parse = |(place, value)| Scalar::parse(Some(value), &format!("{path}[{place}]"));
    values.iter().enumerate().map(parse).collect()
}

fn key(value: Option<&Value>, path: &str) -> Result<String, Error> {
    let key = value.and_then(Value::as_str).filter(|key| (1..=TEXT_BYTES_MAX).contains(&key.len()));
    let what = || format!("must be a string of 1 to {TEXT_BYTES_MAX} bytes: an attribute's name");
    key.map(str::to_owned).ok_or_else(|| wrong(&format!("{path}.key"), what()))
}

fn only(object: &Map<String, Value>, path: &str, allowed: &[&str]) -> Result<(), Error> {
    match object.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(other) => {
            let what = format!("is not known here; allowed: {}", allowed.join(", "));
            Err(wrong(&format!("{path}.{other}"), what))
        }
        None => Ok(()),
    }
}

fn wrong(path: &str, what: impl std::fmt::Display) -> Error {
    Error::new(Fault::BadRequest, "invalid_filter", format!("`{path}` {what}.")).with_param(path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_admitted_by_their_attributes() {
        let attributes = json!({"team": "ops", "year": 2024, "share": 0.5, "open": true, "big": 9_007_199_254_740_993_i64});
        let check = |filter: Value, expected: bool| {
            let parsed = Filter::parse(&filter, "filters").unwrap();
            assert_eq!(parsed.admits(attributes.as_object().unwrap()), expected, "{filter}");
        };
        let one = |kind: &str, key: &str, value: Value| json!({"type": kind, "key": key, "value": value});
        check(one("eq", "team", json!("ops")), true);
        check(one("eq", "team", json!("Ops")), false);
        check(one("ne", "team", json!("dev")), true);
        check(one("eq", "year", json!(2024.0)), true);
        check(one("eq", "year", json!("2024")), false);
        check(one("ne", "year", json!("2024")), true);
        check(one("gt", "year", json!(2023.5)), true);
        check(one("gt", "year", json!(2024)), false);
        check(one("gte", "year", json!(2024)), true);
        check(one("lt", "share", json!(1)), true);
        check(one("lte", "share", json!(0.25)), false);
        check(one("lt", "team", json!("opt")), true);
        check(one("lt", "team", json!(7)), false);
        check(one("eq", "open", json!(true)), true);
        check(one("ne", "open", json!(false)), true);
        check(one("in", "team", json!(["dev", "ops"])), true);
        check(one("nin", "team", json!(["dev", "ops"])), false);
        check(one("in", "year", json!([])), false);
        check(one("eq", "big", json!(9_007_199_254_740_992_i64)), false);
        // What is not there is not equal to anything.
        for (kind, expected) in
            [("eq", false), ("gt", false), ("gte", false), ("lt", false), ("lte", false), ("ne", true)]
        {
            check(one(kind, "none", json!(1)), expected);
        }
        check(one("in", "none", json!([1])), false);
        check(one("nin", "none", json!([1])), true);
        let yes = one("eq", "team", json!("ops"));
        let no = one("eq", "year", json!(1999));
        check(json!({"type": "and", "filters": [yes, no]}), false);
        check(json!({"type": "or", "filters": [no, {"type": "and", "filters": [yes, yes]}]}), true);
    }

    #[test]
    fn what_is_no_filter_is_told_by_its_path() {
        let check = |filter: Value, path: &str, what: &str| {
            let error = Filter::parse(&filter, "filters").unwrap_err();
            assert_eq!((error.code, error.param.as_deref()), ("invalid_filter", Some(path)), "{filter}");
            assert!(error.message.contains(what), "{}", error.message);
        };
        check(json!([]), "filters", "must be an object");
        check(json!({"key": "a", "value": 1}), "filters.type", "eq, ne, gt");
        check(json!({"type": "like", "key": "a", "value": 1}), "filters.type", "eq, ne, gt");
        check(json!({"type": "eq", "value": 1}), "filters.key", "an attribute's name");
        check(json!({"type": "eq", "key": "", "value": 1}), "filters.key", "1 to 1024 bytes");
        check(json!({"type": "eq", "key": "a"}), "filters.value", "a string, a number or a boolean");
        check(json!({"type": "eq", "key": "a", "value": null}), "filters.value", "a string");
        check(json!({"type": "gt", "key": "a", "value": true}), "filters.value", "no order");
        check(json!({"type": "in", "key": "a", "value": 1}), "filters.value", "an array");
        check(json!({"type": "in", "key": "a", "value": [1, {}]}), "filters.value[1]", "a string");
        check(json!({"type": "in", "key": "a", "value": vec![1; 1_001]}), "filters.value", "1000 values");
        check(json!({"type": "eq", "key": "a", "value": "x".repeat(2_000)}), "filters.value", "1024 bytes");
        check(json!({"type": "eq", "key": "a", "value": 1, "not": 1}), "filters.not", "type, key, value");
        check(json!({"type": "and", "filters": []}), "filters.filters", "one filter or more");
        let inner = json!({"type": "or", "filters": [{"type": "eq", "key": "a", "value": 1}, 3]});
        check(json!({"type": "and", "filters": [inner]}), "filters.filters[0].filters[1]", "an object");
        let one = json!({"type": "eq", "key": "a", "value": 1});
        let wide = json!({"type": "or", "filters": vec![one.clone(); 128]});
        check(wide, "filters.filters[127]", "128 conditions");
        let deep = (0..8).fold(one, |inner, _| json!({"type": "or", "filters": [inner]}));
        check(deep, &format!("filters{}", ".filters[0]".repeat(8)), "8 deep");
    }
}
