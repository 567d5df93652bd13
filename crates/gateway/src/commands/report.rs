//! `pointsman report`: what the traffic has cost, read from the book while a gateway may be writing it.

use std::path::Path;

use crate::Failure;
use crate::commands::{load_settings, pretty, say};
use crate::house::in_words;

/// Prints the report.
pub(crate) fn report(config: &Path, as_json: bool) -> Result<(), Failure> {
    let settings = load_settings(config)?;
    let records = ledger::read(&settings.files.state.join("book"), None)
        .map_err(|error| Failure::Unavailable(in_words(&error)))?;
    let report = ledger::report(records);
    say(&if as_json { pretty(&report)? } else { report.to_string() });
    Ok(())
}
