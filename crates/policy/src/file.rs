//! The operator's TOML files, read so that every mistake is told at once, each with its line, its key and what is
//! allowed.
//!
//! Owns where a value stands in its file and which keys were asked for. Refuses meaning: what a key is for belongs to
//! whoever asks for it. Opens no file and reads no environment: both come in as text and as a function.

mod setting;
mod table;

use std::cell::RefCell;
use std::fmt;

use toml::Spanned;
use toml::de::DeTable;

pub use setting::{Env, Place, Setting, Unset};
pub use table::{Entry, Field, Item, Table};

/// One mistake in an operator's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file, as the operator named it.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The key, dotted, places in a list counted from 0: `model[2].prices.input`. Empty for the file as a whole.
    pub key: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Every mistake found in a file, ordered by line. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    fn ordered(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.line);
        mistakes.dedup();
        Self(mistakes)
    }

    /// Those of several files, file by file; `None` where no file has any.
    pub(crate) fn of_files(files: Vec<Self>) -> Option<Self> {
        let all: Vec<Mistake> = files.into_iter().flat_map(|file| file.0).collect();
        (!all.is_empty()).then_some(Self(all))
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, mistake) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// A parsed file and the mistakes found in it so far.
///
/// A reader takes everything it needs from [`Document::root`], going on after a mistake, and then asks
/// [`Document::check`]: only without mistakes may what was read be used.
#[derive(Debug)]
pub struct Document<'t> {
    label: String,
    root: Spanned<DeTable<'t>>,
    line_starts: Vec<usize>,
    mistakes: RefCell<Vec<Mistake>>,
}

impl<'t> Document<'t> {
    /// Parses a file; `label` is how the operator knows it, usually its path.
    ///
    /// # Errors
    /// Every place where the text is not TOML, keys given twice included.
    pub fn parse(label: &str, text: &'t str) -> Result<Self, Mistakes> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let document =
            Self { label: label.to_owned(), root, line_starts, mistakes: RefCell::new(Vec::new()) };
        for error in &errors {
            let line = document.line(error.span().map_or(0, |span| span.start));
            document.note(line, String::new(), format!("this is not valid TOML: {}", error.message()));
        }
        document.check()?;
        Ok(document)
    }

    /// The file's outermost table.
    pub fn root(&self) -> Table<'_> {
        Table::new(self, self.root.get_ref(), String::new(), 1)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Every mistake noted so far.
    pub fn check(&self) -> Result<(), Mistakes> {
        let mistakes = self.mistakes.borrow();
        if mistakes.is_empty() { Ok(()) } else { Err(Mistakes::ordered(mistakes.clone())) }
    }

    /// Ends the reading of a file without which nothing can be made of it.
    ///
    /// # Errors
    /// Every mistake noted so far; that the file is not complete, where `value` is absent without one.
    pub fn accept<T>(&self, value: Option<T>) -> Result<T, Mistakes> {
        self.check()?;
        value.ok_or_else(|| {
            let message = "this file is not complete".to_owned();
            Mistakes(vec![Mistake { file: self.label.clone(), line: 1, key: String::new(), message }])
        })
    }

    /// Notes a mistake.
    fn note(&self, line: usize, key: String, message: String) {
        self.mistakes.borrow_mut().push(Mistake { file: self.label.clone(), line, key, message });
    }

    /// The line, from 1, of a byte offset.
    fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset).max(1)
    }
}

/// The allowed name that a misspelt one most likely means.
pub fn nearest<'n>(wrong: &str, allowed: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let wrong = wrong.to_lowercase();
    allowed
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wrong, &name.to_lowercase()), name))
        // A third of the letters may be wrong: more, and the hint misleads.
        .filter(|(distance, name)| *distance <= name.len().max(3) / 3 && *distance < name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The end of a message about an unknown name: a hint where one is near, and all that is allowed.
pub fn allowed<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str> + Clone) -> String {
    let hint = nearest(wrong, names.clone()).map(|name| format!("; did you mean `{name}`?"));
    let list: Vec<&str> = names.into_iter().collect();
    if list.is_empty() {
        return "; there is none yet".to_owned();
    }
    format!("{}; allowed: {}", hint.unwrap_or_default(), list.join(", "))
}

#[cfg(test)]
mod tests;
