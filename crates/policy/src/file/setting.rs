//! Values that the file only points to: environment variables, and files of secrets.

use std::fmt;

/// Where a value stands that is not written in the file itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// In the environment variable of this name.
    Variable(&'a str),
    /// In the file at this path, as the operator wrote it.
    File(&'a str),
}

/// Looks up what stands elsewhere; `None` where it is not there.
pub type Env<'e> = dyn Fn(Place<'_>) -> Option<String> + 'e;

/// A value that may stand elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// It is written in the file, or what the file names holds it and is not empty.
    Value(String),
    /// What the file names does not hold it.
    Unset(Unset),
}

impl Setting {
    /// Reads `text`: a value, `env:NAME` for that of an environment variable, or `file:PATH` for the text of a file
    /// without the white space around it.
    ///
    /// # Errors
    /// What is wrong with it, in words for the operator.
    pub fn read(text: &str, env: &Env<'_>) -> Result<Self, &'static str> {
        let look_up = |place: Place<'_>, unset: Unset| {
            let value = env(place).filter(|value| !value.trim().is_empty());
            value.map_or(Self::Unset(unset), |value| Self::Value(value.trim().to_owned()))
        };
        if let Some(name) = text.strip_prefix("env:") {
            let proper = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(proper) {
                return Err("`env:` must be followed by the name of an environment variable: env:NAME");
            }
            return Ok(look_up(Place::Variable(name), Unset::Variable(name.to_owned())));
        }
        if let Some(path) = text.strip_prefix("file:") {
            if path.trim().is_empty() {
                return Err("`file:` must be followed by the path of a file: file:PATH");
            }
            return Ok(look_up(Place::File(path), Unset::File(path.to_owned())));
        }
        Ok(Self::Value(text.to_owned()))
    }
}

/// What a file names and what does not hold a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unset {
    /// This environment variable.
    Variable(String),
    /// This file.
    File(String),
}

impl Unset {
    /// What to do about it: `set NAME`.
    pub fn remedy(&self) -> String {
        match self {
            Self::Variable(name) => format!("set {name}"),
            Self::File(path) => format!("write the file {path}"),
        }
    }
}

impl fmt::Display for Unset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "the environment variable `{name}` is not set"),
            Self::File(path) => write!(f, "the file `{path}` cannot be read, or is empty"),
        }
    }
}
