//! `pointsman eval signals`: the kind of task and the yes-or-no signals against labels.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use api::{ChatRequest, Embed, Kind, Signal, SignalSet, Signals};
use classify::{Classifier, TRAINED, View};
use learn::metrics::{self, ClassReport};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::noise::{Dice, noisy};
use crate::commands::{load_settings, pretty, say};
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
    accuracy: f64,
    macro_f1: f64,
    ece: f64,
    noisy_macro_f1: f64,
    per_class: Vec<ClassReport>,
    confusions: Vec<metrics::Confusion>,
    signals: BTreeMap<Signal, ClassReport>,
}

/// Measures the signals on a file.
pub(super) fn signals(config: &Path, data: &Path, as_json: bool) -> Result<(), Failure> {
    let settings = load_settings(config)?;
    let labelled = read(data)?;
    let encoder = load_encoder(&settings).map_err(Failure::Unavailable)?;
    let classifier = training::classifier(&settings.files.exemplars, &settings.files.state, &encoder)
        .map_err(|mistakes| Failure::Wrong(mistakes.join("\n")))?;
    let measured = measure(&labelled, &classifier, &encoder)?;
    say(&if as_json { pretty(&measured)? } else { told(&measured) });
    Ok(())
}

fn measure(labelled: &[Labelled], classifier: &Classifier, encoder: &dyn Embed) -> Result<Measured, Failure> {
    let clean = judge(labelled.iter().map(|one| one.view.clone()), classifier, encoder)?;
    let mut dice = Dice::new(NOISE_SEED);
    let noisy_views: Vec<View> = labelled
        .iter()
        .map(|one| View { user: noisy(&one.view.user, &mut dice), ..one.view.clone() })
        .collect();
    let under_noise = judge(noisy_views.into_iter(), classifier, encoder)?;
    let names: Vec<String> = Kind::ALL.iter().map(|kind| kind.name().to_owned()).collect();
    let place = |kind: Kind| Kind::ALL.iter().position(|known| *known == kind).unwrap_or(0);
    let of_kind: Vec<usize> = (0..labelled.len()).filter(|row| labelled[*row].kind.is_some()).collect();
    let truth: Vec<usize> = of_kind.iter().filter_map(|row| labelled[*row].kind).map(place).collect();
    let said =
        |judged: &[Signals]| -> Vec<usize> { of_kind.iter().map(|row| place(judged[*row].kind)).collect() };
    let said_clean = said(&clean);
    let right: Vec<bool> = truth.iter().zip(&said_clean).map(|(truth, said)| truth == said).collect();
    let confidences: Vec<f32> = of_kind.iter().map(|row| clean[*row].kind_confidence).collect();
    Ok(Measured {
        examples: labelled.len(),
        accuracy: metrics::accuracy(&truth, &said_clean),
        macro_f1: metrics::macro_f1(&truth, &said_clean),
        ece: metrics::expected_calibration_error(&confidences, &right),
        noisy_macro_f1: metrics::macro_f1(&truth, &said(&under_noise)),
        per_class: metrics::per_class(&truth, &said_clean, &names),
        confusions: metrics::confusions(&truth, &said_clean, &names),
        signals: yes_or_no(labelled, &clean),
    })
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

fn judge(
    views: impl Iterator<Item = View>,
    classifier: &Classifier,
    encoder: &dyn Embed,
) -> Result<Vec<Signals>, Failure> {
    views
        .map(|view| {
            let vectors = encoder
                .embed(&[&view.encoder_text()])
                .map_err(|error| Failure::Unavailable(error.to_string()))?;
            Ok(classifier.signals(&view, SignalSet::ALL, vectors.first().map(Vec::as_slice)))
        })
        .collect()
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
        "{} prompts\nkind of task: accuracy {:.3}, macro-F1 {:.3} (under noise {:.3}), calibration error {:.3}\n",
        measured.examples, measured.accuracy, measured.macro_f1, measured.noisy_macro_f1, measured.ece
    );
    let head =
        |name: &str| format!("\n  {name:<20}{:>8}{:>11}{:>9}{:>9}\n", "count", "precision", "recall", "F1");
    let row = |name: &str, class: &ClassReport| {
        format!(
            "  {name:<20}{:>8}{:>11.3}{:>9.3}{:>9.3}\n",
            class.support, class.precision, class.recall, class.f1
        )
    };
    text.push_str(&head("kind"));
    for class in &measured.per_class {
        text.push_str(&row(&class.name, class));
    }
    text.push_str(&head("signal"));
    for (signal, class) in &measured.signals {
        text.push_str(&row(signal.name(), class));
    }
    if let Some(most) = measured.confusions.first() {
        let _ =
            write!(text, "\nmost often confused: {} taken for {} ({})", most.truth, most.said, most.count);
    }
    text.trim_end().to_owned()
}
