//! Why nothing could be fitted, in words for the person who brought the data.

use std::fmt;

/// A reason to refuse a fit. Its text names the row, column or class, counted from 0, and says what is needed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Unfit {
    /// There are not enough examples to fit and to hold some out.
    TooFew {
        /// How many there are.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// All examples carry one label, so that there is nothing to tell apart.
    OneClass,
    /// A named class has no example.
    EmptyClass {
        /// The class's name.
        name: String,
    },
    /// A label points past the last name.
    UnknownLabel {
        /// The example's row.
        row: usize,
        /// The label found.
        label: usize,
        /// How many names there are.
        names: usize,
    },
    /// A truth is not what the kind of task needs.
    WrongTruth {
        /// The example's row.
        row: usize,
        /// What it should be.
        expected: &'static str,
    },
    /// Two lists that go together differ in length.
    Uneven {
        /// What the lists hold.
        what: &'static str,
        /// Length of the first.
        left: usize,
        /// Length of the second.
        right: usize,
    },
    /// A row has another number of features than the first.
    Ragged {
        /// The row.
        row: usize,
        /// Its length.
        found: usize,
        /// The first row's length.
        expected: usize,
    },
    /// A number is infinite or no number at all.
    NotFinite {
        /// The row.
        row: usize,
        /// The column.
        column: usize,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew { found, needed } => {
                write!(f, "{found} examples are too few to train on; bring at least {needed}")
            }
            Self::OneClass => write!(f, "all examples carry the same label; bring examples of at least two"),
            Self::EmptyClass { name } => {
                write!(f, "the label `{name}` has no example; bring some or drop the label")
            }
            Self::UnknownLabel { row, label, names } => {
                write!(f, "example {row} has label number {label}, but only {names} labels are named")
            }
            Self::WrongTruth { row, expected } => {
                write!(f, "the right answer of example {row} is not what this kind of task needs: {expected}")
            }
            Self::Uneven { what, left, right } => write!(f, "{what} differ in number: {left} and {right}"),
            Self::Ragged { row, found, expected } => {
                write!(f, "example {row} has {found} features where the first has {expected}")
            }
            Self::NotFinite { row, column } => {
                write!(f, "feature {column} of example {row} is infinite or not a number")
            }
        }
    }
}

impl std::error::Error for Unfit {}
