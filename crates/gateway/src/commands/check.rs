//! `pointsman check`: every mistake at once, and how good the classifiers are on exemplars that they have not seen.

use std::fmt::Write as _;
use std::path::Path;

use api::Signal;

use crate::commands::{load_settings, say};
use crate::live::Files;
use crate::renew::load_encoder;
use crate::{Failure, training};

/// Checks the configuration.
pub(crate) fn check(config: &Path, files_only: bool) -> Result<(), Failure> {
    // All files are read even when the first is wrong: a second run for the second mistake is a run too many.
    let settings = load_settings(config)?;
    let files = Files::read(&settings).and_then(|files| files.check(&settings));
    let exemplars =
        classify::read_exemplars(&settings.files.exemplars).map_err(|mistakes| mistakes.join("\n"));
    let mistakes: Vec<String> =
        [files.as_ref().err().cloned(), exemplars.as_ref().err().cloned()].into_iter().flatten().collect();
    if !mistakes.is_empty() {
        return Err(Failure::Wrong(mistakes.join("\n")));
    }
    say(&format!("{}: good, and so are the files that it names", config.display()));
    if files_only {
        return Ok(());
    }
    let encoder = load_encoder(&settings).map_err(Failure::Unavailable)?;
    let reports =
        training::report(&settings, &encoder).map_err(|mistakes| Failure::Wrong(mistakes.join("\n")))?;
    say(&told(&reports));
    Ok(())
}

fn told(reports: &training::Reports) -> String {
    let cheap = reports.told_deep.is_empty();
    let told_kind = if reports.told_deep.has(Signal::Kind) { &reports.deep } else { &reports.cheap };
    let kind = &told_kind.kind;
    let mut text = format!(
        "\nkind: {} exemplars, cross-validated accuracy {:.3}, macro-F1 {:.3}, calibration error {:.3}\n\
         (macro-F1 by words and form alone {:.3}, with the encoder {:.3})\n",
        kind.examples,
        kind.accuracy,
        kind.macro_f1,
        kind.ece,
        reports.cheap.kind.macro_f1,
        reports.deep.kind.macro_f1
    );
    let _ = writeln!(text, "  {:<18}{:>9}{:>11}{:>9}{:>9}", "class", "examples", "precision", "recall", "F1");
    for class in &kind.per_class {
        let _ = writeln!(
            text,
            "  {:<18}{:>9}{:>11.3}{:>9.3}{:>9.3}",
            class.name, class.support, class.precision, class.recall, class.f1
        );
    }
    let _ = writeln!(
        text,
        "\n  {:<18}{:>9}{:>11}{:>9}{:>9}{:>15}",
        "signal", "yes", "precision", "recall", "F1", "told by"
    );
    let stages = reports.cheap.signals.iter().zip(&reports.deep.signals);
    for ((signal, cheap), (_, deep)) in stages {
        let (report, by) = match reports.told_deep.has(*signal) {
            true => (deep, "the encoder"),
            false => (cheap, "words, form"),
        };
        if let Some(yes) = report.per_class.iter().find(|class| class.name == classify::YES) {
            let _ = writeln!(
                text,
                "  {:<18}{:>9}{:>11.3}{:>9.3}{:>9.3}{by:>15}",
                signal.name(),
                yes.support,
                yes.precision,
                yes.recall,
                yes.f1
            );
        }
    }
    if cheap {
        text.push_str("\nthe encoder tells nothing better by 0.02: it is not asked\n");
    }
    if !reports.contradictions.is_empty() {
        let _ = write!(text, "\nexemplars that the others contradict:");
        for line in &reports.contradictions {
            let _ = write!(text, "\n  {line}");
        }
    }
    text
}
