//! `pointsman eval signals`: the kind of task and the yes-or-no signals against labels.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use api::{ChatRequest, Kind, PrivateKind, Signal, SignalSet, Signals};
use classify::{Classifier, Encoder, TRAINED, View};
use learn::metrics::{self, ClassReport};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::noise::{Dice, noisy};
use crate::commands::{load_settings, pretty, say};
use crate::house::in_words;
use crate::renew::load_encoder;
use crate::{Failure, training};

/// Any seed will do; it is fixed so that two runs agree.
const NOISE_SEED: u64 = 7;

/// A line of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    text: Option<String>,
    messages: Option<Value>,
    labels: BTreeMap<String, Value>,
    /// Which private data there are, for people who read the file: any kind makes `private_data` true.
    #[serde(default, rename = "private_kinds")]
    _private_kinds: Vec<PrivateKind>,
}

/// A prompt and what is true of it.
struct Labelled {
    view: View,
    kind: Option<Kind>,
    answers: BTreeMap<Signal, bool>,
}

/// What was measured.
#[derive(Serialize)]
struct Measured {
    examples: usize,
    /// As the gateway does it: the encoder reads a request only where words and form leave it open.
    #[serde(flatten)]
    served: Judged,
    /// The share of prompts that the encoder read.
    encoder_share: f64,
    /// By words and form alone.
    words_only: Judged,
    /// With the encoder for every prompt.
    with_encoder: Judged,
}

/// How one way of judging fared.
#[derive(Serialize)]
struct Judged {
    accuracy: f64,
    macro_f1: f64,
    ece: f64,
    noisy_macro_f1: f64,
    per_class: Vec<ClassReport>,
    confusions: Vec<metrics::Confusion>,
    signals: BTreeMap<Signal, ClassReport>,
}

/// When the encoder reads a prompt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    Never,
    WhereOpen,
    Always,
}

/// Measures the signals on a file.
pub(super) fn signals(config: &Path, data: &Path, as_json: bool) -> Result<(), Failure> {
    let settings = load_settings(config)?;
    let labelled = read(data)?;
    let encoder = load_encoder(&settings).map_err(Failure::Unavailable)?;
    let trained =
        training::classifier(&settings, &encoder).map_err(|mistakes| Failure::Wrong(mistakes.join("\n")))?;
    let measured = Judges { classifier: &trained.classifier, encoder: &encoder }.measure(&labelled)?;
    say(&if as_json { pretty(&measured)? } else { told(&measured) });
    Ok(())
}

struct Judges<'a> {
    classifier: &'a Classifier,
    encoder: &'a Encoder,
}

impl Judges<'_> {
    fn measure(&self, labelled: &[Labelled]) -> Result<Measured, Failure> {
        let open = |one: &&Labelled| {
            let known = self.classifier.signals(&one.view, SignalSet::ALL);
            self.classifier.needs_vector(SignalSet::ALL, &known)
        };
        let read = labelled.iter().filter(open).count();
        Ok(Measured {
            examples: labelled.len(),
            served: self.fare(labelled, Reads::WhereOpen)?,
            encoder_share: read as f64 / labelled.len().max(1) as f64,
            words_only: self.fare(labelled, Reads::Never)?,
            with_encoder: self.fare(labelled, Reads::Always)?,
        })
    }

    fn fare(&self, labelled: &[Labelled], reads: Reads) -> Result<Judged, Failure> {
        let views: Vec<View> = labelled.iter().map(|one| one.view.clone()).collect();
        let clean = self.judge(&views, reads)?;
        let mut dice = Dice::new(NOISE_SEED);
        let noisy_views: Vec<View> =
            views.into_iter().map(|view| View { user: noisy(&view.user, &mut dice), ..view }).collect();
        let under_noise = self.judge(&noisy_views, reads)?;
        let names: Vec<String> = Kind::ALL.iter().map(|kind| kind.name().to_owned()).collect();
        let place = |kind: Kind| Kind::ALL.iter().position(|known| *known == kind).unwrap_or(0);
        let of_kind: Vec<usize> = (0..labelled.len()).filter(|row| labelled[*row].kind.is_some()).collect();
        let truth: Vec<usize> = of_kind.iter().filter_map(|row| labelled[*row].kind).map(place).collect();
        let said = |judged: &[Signals]| -> Vec<usize> {
            of_kind.iter().map(|row| place(judged[*row].kind)).collect()
        };
        let said_clean = said(&clean);
        let right: Vec<bool> = truth.iter().zip(&said_clean).map(|(truth, said)| truth == said).collect();
        let confidences: Vec<f32> = of_kind.iter().map(|row| clean[*row].kind_confidence).collect();
        Ok(Judged {
            accuracy: metrics::accuracy(&truth, &said_clean),
            macro_f1: metrics::macro_f1(&truth, &said_clean),
            ece: metrics::expected_calibration_error(&confidences, &right),
            noisy_macro_f1: metrics::macro_f1(&truth, &said(&under_noise)),
            per_class: metrics::per_class(&truth, &said_clean, &names),
            confusions: metrics::confusions(&truth, &said_clean, &names),
            signals: yes_or_no(labelled, &clean),
        })
    }

    fn judge(&self, views: &[View], reads: Reads) -> Result<Vec<Signals>, Failure> {
        let judge = |view: &View| {
            let mut known = self.classifier.signals(view, SignalSet::ALL);
            let open = reads == Reads::WhereOpen && self.classifier.needs_vector(SignalSet::ALL, &known);
            if !open && reads != Reads::Always {
                return Ok(known);
            }
            let reading = self.encoder.read(view).map_err(|error| Failure::Unavailable(in_words(&error)))?;
            self.classifier.deepen(view, SignalSet::ALL, &reading.form, &mut known);
            Ok(known)
        };
        views.iter().map(judge).collect()
    }
}

/// Each yes-or-no signal's precision and recall at one half.
fn yes_or_no(labelled: &[Labelled], judged: &[Signals]) -> BTreeMap<Signal, ClassReport> {
    let names = ["no".to_owned(), "yes".to_owned()];
    let mut reports = BTreeMap::new();
    for signal in TRAINED.into_iter().chain([Signal::PrivateData, Signal::Injection]) {
        let rows: Vec<(bool, bool)> = labelled
            .iter()
            .zip(judged)
            .filter_map(|(one, judged)| {
                Some((*one.answers.get(&signal)?, probability(judged, signal) >= 0.5))
            })
            .collect();
        if rows.is_empty() {
            continue;
        }
        let truth: Vec<usize> = rows.iter().map(|row| usize::from(row.0)).collect();
        let said: Vec<usize> = rows.iter().map(|row| usize::from(row.1)).collect();
        if let Some(yes) =
            metrics::per_class(&truth, &said, &names).into_iter().find(|class| class.name == "yes")
        {
            reports.insert(signal, yes);
        }
    }
    reports
}

fn probability(signals: &Signals, signal: Signal) -> f32 {
    match signals.value(signal) {
        api::Value::Number(value) => value,
        api::Value::Text(_) | api::Value::Count(_) => 0.0,
    }
}

fn read(path: &Path) -> Result<Vec<Labelled>, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::Wrong(format!("{}: cannot be read: {error}", path.display())))?;
    let mut mistakes = Vec::new();
    let mut labelled = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match read_line(line) {
            Ok(one) => labelled.push(one),
            Err(why) => mistakes.push(format!("{}:{}: {why}", path.display(), number + 1)),
        }
    }
    if mistakes.is_empty() { Ok(labelled) } else { Err(Failure::Wrong(mistakes.join("\n"))) }
}

fn read_line(line: &str) -> Result<Labelled, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| {
        format!("a line must be {{\"text\" or \"messages\", \"labels\": {{signal: value}}}}: {error}")
    })?;
    let view = match (line.text, line.messages) {
        (Some(text), None) => View::of(None, &text),
        (None, Some(messages)) => {
            let mut body = Map::new();
            body.insert("model".to_owned(), Value::from("auto"));
            body.insert("messages".to_owned(), messages);
            View::from(&ChatRequest::from_body(body).map_err(|error| error.message)?)
        }
        _ => return Err("give either `text` or `messages`".to_owned()),
    };
    let mut kind = None;
    let mut answers = BTreeMap::new();
    for (name, value) in line.labels {
        let signal: Signal = name.parse().map_err(|()| format!("`{name}` is no signal"))?;
        match (signal, &value) {
            (Signal::Kind, Value::String(text)) => {
                kind = Some(text.parse().map_err(|()| format!("`{text}` is no kind of task"))?);
            }
            (_, Value::Bool(yes)) => {
                answers.insert(signal, *yes);
            }
            _ => return Err(format!("the label of `{name}` must be true or false, that of `kind` a kind")),
        }
    }
    Ok(Labelled { view, kind, answers })
}

fn told(measured: &Measured) -> String {
    let mut text = format!(
        "{} prompts\n\n  {:<34}{:>9}{:>10}{:>13}{:>13}\n",
        measured.examples, "kind of task", "accuracy", "macro-F1", "under noise", "calibration"
    );
    let share = format!("as served (encoder for {:.0} %)", 100.0 * measured.encoder_share);
    let ways = [
        (share.as_str(), &measured.served),
        ("by words and form alone", &measured.words_only),
        ("with the encoder always", &measured.with_encoder),
    ];
    for (name, way) in ways {
        let _ = writeln!(
            text,
            "  {name:<34}{:>9.3}{:>10.3}{:>13.3}{:>13.3}",
            way.accuracy, way.macro_f1, way.noisy_macro_f1, way.ece
        );
    }
    let head =
        |name: &str| format!("\n  {name:<20}{:>8}{:>11}{:>9}{:>9}\n", "count", "precision", "recall", "F1");
    let row = |name: &str, class: &ClassReport| {
        format!(
            "  {name:<20}{:>8}{:>11.3}{:>9.3}{:>9.3}",
            class.support, class.precision, class.recall, class.f1
        )
    };
    text.push_str(&head("kind"));
    for class in &measured.served.per_class {
        text.push_str(&row(&class.name, class));
        text.push('\n');
    }
    text.push_str(head("signal").trim_end());
    text.push_str("  F1 by words and form\n");
    for (signal, class) in &measured.served.signals {
        text.push_str(&row(signal.name(), class));
        let words = measured.words_only.signals.get(signal).map_or(0.0, |class| class.f1);
        let _ = writeln!(text, "{words:>22.3}");
    }
    if let Some(most) = measured.served.confusions.first() {
        let _ =
            write!(text, "\nmost often confused: {} taken for {} ({})", most.truth, most.said, most.count);
    }
    text.trim_end().to_owned()
}
