//! Typed takes from a table: each either gives a value or notes what is wrong with it, and every key asked for is
//! remembered, so that the rest can be called unknown.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::time::Duration;

use api::Money;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Document, Env, Setting, allowed};

/// A table of a file.
#[derive(Debug)]
pub struct Table<'d> {
    document: &'d Document<'d>,
    table: &'d DeTable<'d>,
    path: String,
    line: usize,
    asked: RefCell<Vec<String>>,
}

impl<'d> Table<'d> {
    pub(super) fn new(document: &'d Document<'d>, table: &'d DeTable<'d>, path: String, line: usize) -> Self {
        Self { document, table, path, line, asked: RefCell::new(Vec::new()) }
    }

    /// A key that may be absent.
    pub fn optional(&self, key: &str) -> Field<'d> {
        self.asked.borrow_mut().push(key.to_owned());
        let found = self.table.get_key_value(key);
        let line = found.map_or(self.line, |(key, _)| self.document.line(key.span().start));
        Field {
            document: self.document,
            path: self.join(key),
            line,
            value: found.map(|(_, value)| value.get_ref()),
        }
    }

    /// A key that must be there.
    pub fn required(&self, key: &str) -> Field<'d> {
        let field = self.optional(key);
        if field.value.is_none() {
            field.wrong("this key is missing");
        }
        field
    }

    /// All keys of the table with their values, in the file's order, for tables whose keys are the operator's own
    /// names. Every key counts as asked for.
    pub fn entries(&self) -> Vec<Entry<'d>> {
        let mut entries: Vec<(usize, Entry<'d>)> = self
            .table
            .iter()
            .map(|(key, _)| {
                let name: &'d str = key.get_ref();
                (key.span().start, Entry { name, field: self.optional(name) })
            })
            .collect();
        entries.sort_by_key(|(start, _)| *start);
        entries.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Notes a mistake of the table as a whole.
    pub fn wrong(&self, message: impl Into<String>) {
        self.document.note(self.line, self.path.clone(), message.into());
    }

    /// Ends the reading of this table: every key that nobody asked for is a mistake.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if !asked.iter().any(|known| known == name) {
                let hint = allowed(name, asked.iter().map(String::as_str));
                let line = self.document.line(key.span().start);
                self.document.note(line, self.join(name), format!("this key is unknown{hint}"));
            }
        }
    }

    fn join(&self, key: &str) -> String {
        let bare = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let key = if bare { key.to_owned() } else { format!("\"{key}\"") };
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }
}

/// A key of the operator's own choosing.
#[derive(Debug)]
pub struct Entry<'d> {
    /// The key.
    pub name: &'d str,
    /// Its value.
    pub field: Field<'d>,
}

/// A text out of a list, with its place.
#[derive(Debug)]
pub struct Item<'d> {
    /// The text.
    pub text: &'d str,
    document: &'d Document<'d>,
    path: String,
    line: usize,
}

impl Item<'_> {
    /// Notes a mistake at this item.
    pub fn wrong(&self, message: impl Into<String>) {
        self.document.note(self.line, self.path.clone(), message.into());
    }
}

/// A key's value, or its absence, with its place. Every take gives `None` for an absent key, and for a wrong value,
/// which it notes.
#[derive(Clone, Debug)]
pub struct Field<'d> {
    document: &'d Document<'d>,
    path: String,
    line: usize,
    value: Option<&'d DeValue<'d>>,
}

impl<'d> Field<'d> {
    /// Whether the key is there.
    pub fn is_given(&self) -> bool {
        self.value.is_some()
    }

    /// Whether the value is a table, for keys that take more than one form.
    pub fn is_table(&self) -> bool {
        matches!(self.value, Some(DeValue::Table(_)))
    }

    /// Notes a mistake at this key.
    pub fn wrong(&self, message: impl Into<String>) {
        self.document.note(self.line, self.path.clone(), message.into());
    }

    /// A text that is not empty.
    pub fn text(&self) -> Option<&'d str> {
        match self.value? {
            DeValue::String(text) if !text.trim().is_empty() => Some(text),
            DeValue::String(_) => self.refuse("this text is empty; give one"),
            other => self.refuse_type("a text in quotes", other),
        }
    }

    /// One of the values named in `choices`.
    pub fn one_of<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = choices.iter().find(|(name, _)| *name == text);
        found.map(|(_, value)| *value).or_else(|| {
            let names = choices.iter().map(|(name, _)| *name);
            self.refuse(&format!("`{text}` is not known{}", allowed(text, names)))
        })
    }

    /// A whole number within `range`.
    pub fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let wanted = || format!("a whole number from {} to {}", range.start(), range.end());
        match self.value? {
            DeValue::Integer(digits) => {
                let number = u64::from_str_radix(digits.as_str(), digits.radix()).ok();
                let fitting = number.filter(|number| range.contains(number));
                fitting.or_else(|| self.refuse(&format!("{digits} is out of range; allowed: {}", wanted())))
            }
            other => self.refuse_type(&wanted(), other),
        }
    }

    /// A number within `range`; whole ones need no decimal point.
    pub fn number(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let wanted = || format!("a number from {} to {}", range.start(), range.end());
        let number: Option<f64> = match self.value? {
            DeValue::Float(digits) => digits.as_str().parse().ok(),
            DeValue::Integer(digits) if digits.radix() == 10 => digits.as_str().parse().ok(),
            other => return self.refuse_type(&wanted(), other),
        };
        let fitting = number.filter(|number| range.contains(number));
        fitting.or_else(|| self.refuse(&format!("this number is out of range; allowed: {}", wanted())))
    }

    /// The same as [`Field::number`], as a probability from 0 to 1.
    #[expect(clippy::cast_possible_truncation, reason = "a probability needs no more digits than f32 has")]
    pub fn probability(&self) -> Option<f32> {
        self.number(0.0..=1.0).map(|number| number as f32)
    }

    /// An amount of US dollars, from 0 to a million.
    pub fn money_usd(&self) -> Option<Money> {
        self.number(0.0..=1e6).and_then(Money::from_usd)
    }

    /// A time in whole milliseconds within `range`.
    pub fn duration_ms(&self, range: RangeInclusive<u64>) -> Option<Duration> {
        self.integer(range).map(Duration::from_millis)
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        match self.value? {
            DeValue::Boolean(value) => Some(*value),
            other => self.refuse_type("true or false", other),
        }
    }

    /// A list of texts, none of them empty; an absent key is an empty list.
    pub fn text_list(&self) -> Vec<Item<'d>> {
        let items = match self.value {
            None => return Vec::new(),
            Some(DeValue::Array(items)) => items,
            Some(other) => {
                self.refuse_type::<()>("a list of texts in brackets", other);
                return Vec::new();
            }
        };
        let at = |(place, item): (usize, &'d Spanned<DeValue<'d>>)| {
            let field = self.item(place, item);
            field.text().map(|text| Item {
                text,
                document: field.document,
                path: field.path.clone(),
                line: field.line,
            })
        };
        items.iter().enumerate().filter_map(at).collect()
    }

    /// A table.
    pub fn table(&self) -> Option<Table<'d>> {
        match self.value? {
            DeValue::Table(table) => Some(Table::new(self.document, table, self.path.clone(), self.line)),
            other => self.refuse_type("a table", other),
        }
    }

    /// The tables of a `[[key]]`; an absent key has none.
    pub fn tables(&self) -> Vec<Table<'d>> {
        let items = match self.value {
            None => return Vec::new(),
            Some(DeValue::Array(items)) => items,
            Some(other) => {
                self.refuse_type::<()>("a list of tables, each under its own [[...]]", other);
                return Vec::new();
            }
        };
        items.iter().enumerate().filter_map(|(place, item)| self.item(place, item).table()).collect()
    }

    /// A text, or where it stands: see [`Setting::read`].
    pub fn setting(&self, env: &Env<'_>) -> Option<Setting> {
        Setting::read(self.text()?, env).map_err(|wrong| self.wrong(wrong)).ok()
    }

    /// As [`Field::setting`], for a value without which nothing goes: what does not hold it is a mistake.
    pub fn given(&self, env: &Env<'_>) -> Option<String> {
        match self.setting(env)? {
            Setting::Value(text) => Some(text),
            Setting::Unset(unset) => {
                self.wrong(unset.to_string());
                None
            }
        }
    }

    fn item(&self, place: usize, item: &'d Spanned<DeValue<'d>>) -> Field<'d> {
        Field {
            document: self.document,
            path: format!("{}[{place}]", self.path),
            line: self.document.line(item.span().start),
            value: Some(item.get_ref()),
        }
    }

    fn refuse<T>(&self, message: &str) -> Option<T> {
        self.wrong(message);
        None
    }

    fn refuse_type<T>(&self, wanted: &str, got: &DeValue<'_>) -> Option<T> {
        self.refuse(&format!("this must be {wanted}, not {}", type_name(got)))
    }
}

/// What a value is, in an operator's words.
fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with decimals",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
