//! The classifier of signals, trained from the operator's exemplars and kept in the state folder under the hash of
//! everything that shaped it.

use std::fs;
use std::path::Path;

use api::{Embed, Head, Signal, Vector};
use classify::{Classifier, Exemplar, NO, TRAINED, View, YES};
use learn::{HeadOptions, HeadReport};
use serde::{Deserialize, Serialize};

use crate::house::in_words;

/// Changes when the way of training changes, so that an older cache is not taken for a newer one.
const SCHEME: &str = "heads-v1";

/// Exemplars whose features are part of the fingerprint.
const PROBES: usize = 16;

/// The heads as they are kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    kind: Head,
    signals: Vec<(Signal, Head)>,
}

/// What training found, for `pointsman check`.
pub(crate) struct Reports {
    pub(crate) kind: HeadReport,
    /// Exemplars whose own kind the heads trained without them are sure is another: `file:line` and what they said.
    pub(crate) contradictions: Vec<String>,
    pub(crate) signals: Vec<(Signal, HeadReport)>,
}

/// The classifier for these exemplars: from the state folder where it is there, otherwise trained now.
///
/// # Errors
/// In words: the exemplars are wrong or too few, or the encoder failed.
pub(crate) fn classifier(
    exemplars: &Path,
    state: &Path,
    encoder: &dyn Embed,
) -> Result<Classifier, Vec<String>> {
    let examples = classify::read_exemplars(exemplars)?;
    let path = state.join(format!("classifier-{}.json", fingerprint(&examples, encoder)));
    let kept = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
    let kept = match kept {
        Some(kept) => kept,
        None => {
            let (kept, _) = train(&examples, encoder)?;
            // A cache that cannot be written costs the next start a second; it is no reason not to start.
            if let Err(error) = keep(&path, &kept) {
                tracing::warn!(path = %path.display(), %error, "the trained classifier could not be kept");
            }
            kept
        }
    };
    Classifier::new(kept.kind, kept.signals, true).map_err(|error| vec![in_words(&error)])
}

/// Trains anew and tells how good the heads are on exemplars that they have not seen.
///
/// # Errors
/// As [`classifier`].
pub(crate) fn report(exemplars: &Path, encoder: &dyn Embed) -> Result<Reports, Vec<String>> {
    let examples = classify::read_exemplars(exemplars)?;
    train(&examples, encoder).map(|(_, reports)| reports)
}

fn train(examples: &[Exemplar], encoder: &dyn Embed) -> Result<(Kept, Reports), Vec<String>> {
    let inputs = inputs(examples, encoder)?;
    let options = HeadOptions::default();
    let mut kinds: Vec<String> = examples.iter().map(|example| example.kind.name().to_owned()).collect();
    kinds.sort();
    kinds.dedup();
    let labels: Vec<usize> = examples
        .iter()
        .map(|example| kinds.iter().position(|kind| kind == example.kind.name()).unwrap_or(0))
        .collect();
    let kind = learn::train_head(&inputs, &labels, &kinds, &options)
        .map_err(|unfit| vec![format!("kind: {unfit}")])?;
    let contradictions = kind
        .report
        .contradictions(&labels, 0.9)
        .into_iter()
        .map(|found| {
            let example = &examples[found.row];
            format!(
                "{}:{}: kept as {}, but the others make it {} ({:.0} %)",
                example.file.display(),
                example.line,
                found.label,
                found.said,
                found.probability * 100.0
            )
        })
        .collect();
    let mut heads = Vec::with_capacity(TRAINED.len());
    let mut reports = Vec::with_capacity(TRAINED.len());
    let answers = [NO.to_owned(), YES.to_owned()];
    for signal in TRAINED {
        let labels: Vec<usize> =
            examples.iter().map(|example| usize::from(example.signals.contains(&signal))).collect();
        let trained = learn::train_head(&inputs, &labels, &answers, &options)
            .map_err(|unfit| vec![format!("{signal}: {unfit}")])?;
        heads.push((signal, trained.head));
        reports.push((signal, trained.report));
    }
    let kept = Kept { kind: kind.head, signals: heads };
    Ok((kept, Reports { kind: kind.report, contradictions, signals: reports }))
}

fn inputs(examples: &[Exemplar], encoder: &dyn Embed) -> Result<Vec<Vec<f32>>, Vec<String>> {
    let views: Vec<View> = examples.iter().map(Exemplar::view).collect();
    let mut inputs = Vec::with_capacity(views.len());
    for batch in views.chunks(64) {
        let texts: Vec<String> = batch.iter().map(View::encoder_text).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors: Vec<Vector> = encoder.embed(&texts).map_err(|error| vec![error.to_string()])?;
        inputs.extend(batch.iter().zip(&vectors).map(|(view, vector)| classify::inputs(view, Some(vector))));
    }
    Ok(inputs)
}

fn fingerprint(examples: &[Exemplar], encoder: &dyn Embed) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(SCHEME.as_bytes());
    // The cheap features of a few exemplars stand for the code that makes them.
    for example in examples.iter().take(PROBES) {
        for value in classify::inputs(&example.view(), None) {
            hasher.update(&value.to_le_bytes());
        }
    }
    hasher.update(encoder.fingerprint().as_bytes());
    for example in examples {
        let marks: Vec<&str> = example.signals.iter().map(|signal| signal.name()).collect();
        let system = example.system.as_deref().unwrap_or("");
        for part in [example.kind.name(), system, &example.text, &marks.join(",")] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

fn keep(path: &Path, kept: &Kept) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension("tmp");
    fs::write(&beside, serde_json::to_vec(kept)?)?;
    fs::rename(beside, path)
}
