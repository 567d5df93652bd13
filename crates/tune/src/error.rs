//! Why a training ended without an adapter, as one sentence and an exit status.

use std::fmt;

/// A failure, in words that say what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// What the caller gave is wrong or missing: the base, the examples, a setting.
    Input(String),
    /// The training itself failed.
    Failed(String),
}

impl Error {
    /// The exit status of `sysexits.h` for it: 64 for wrong input, 70 for our own failure.
    pub fn status(&self) -> u8 {
        match self {
            Self::Input(_) => 64,
            Self::Failed(_) => 70,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(said) | Self::Failed(said) => f.write_str(said),
        }
    }
}

impl std::error::Error for Error {}

/// Whatever candle refuses in the middle of a training is our own mistake: inputs are checked before.
impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Failed(format!("the training failed: {}", sentence(&error)))
    }
}

/// What candle says, without the backtrace that it appends where `RUST_BACKTRACE` is set.
pub(crate) fn sentence(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
