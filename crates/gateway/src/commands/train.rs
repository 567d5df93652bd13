//! `pointsman train`: the classifier of requests, from the exemplars.

use std::path::Path;

use crate::commands::{load_settings, say};
use crate::renew::load_encoder;
use crate::{Failure, training};

/// Trains the classifier, unless it is trained already.
pub(crate) fn train(config: &Path) -> Result<(), Failure> {
    let settings = load_settings(config)?;
    let encoder = load_encoder(&settings).map_err(Failure::Unavailable)?;
    let exemplars = training::train_and_keep(&settings, &encoder)
        .map_err(|mistakes| Failure::Wrong(mistakes.join("\n")))?;
    say(&format!("the classifier of requests is trained from {exemplars} exemplars"));
    Ok(())
}
