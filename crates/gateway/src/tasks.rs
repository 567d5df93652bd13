//! Local models for closed tasks: a head over the encoder's vector, trained from labels, served as `task/NAME`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::{ChatRequest, Completion, Contract, Embed, Error, Fault, Head, TaskMatch, Usage, Vector, cosine};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Names become paths and labels of metrics.
const NAME_BYTES_MAX: usize = 64;

/// A trained task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) name: String,
    /// The encoder that made the vectors; a head is of no use with another.
    pub(crate) encoder: String,
    /// Labelled examples that it was trained from.
    pub(crate) labels: u64,
    /// Cross-validated accuracy.
    pub(crate) accuracy: f64,
    /// When it was trained, milliseconds since 1970.
    pub(crate) trained_at_ms: u64,
    /// Below this confidence the next target is asked, where there is one.
    pub(crate) threshold: f32,
    pub(crate) head: Head,
    /// The mean vector of each label.
    pub(crate) centroids: Vec<Vector>,
    /// For each training text, sorted: the cosine to the nearest mean of the other texts.
    pub(crate) similarities: Vec<f32>,
}

/// All trained tasks.
#[derive(Debug, Default)]
pub(crate) struct Tasks(BTreeMap<String, Arc<Task>>);

impl Tasks {
    /// Loads every task of the state folder that fits the encoder; the others are told in words.
    pub(crate) fn load(state: &Path, encoder: &str) -> (Self, Vec<String>) {
        let mut tasks = BTreeMap::new();
        let mut problems = Vec::new();
        let entries = fs::read_dir(folder(state)).into_iter().flatten().flatten();
        for path in
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "json"))
        {
            match Task::read(&path, encoder) {
                Ok(task) => {
                    tasks.insert(task.name.clone(), Arc::new(task));
                }
                Err(why) => problems.push(format!("{}: {why}", path.display())),
            }
        }
        (Self(tasks), problems)
    }

    /// The task of this name.
    pub(crate) fn get(&self, name: &str) -> Result<Arc<Task>, Error> {
        self.0.get(name).cloned().ok_or_else(|| {
            let known: Vec<String> = self.0.keys().map(|name| format!("task/{name}")).collect();
            let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
            let message = format!("There is no trained task `{name}`. Trained: {known}.");
            Error::new(Fault::NotFound, "model_not_found", message).with_param("model")
        })
    }

    /// All tasks, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.0.values()
    }

    /// The task that a request belongs to: the one that its header names, or the one whose labels its answer must
    /// come from.
    ///
    /// # Errors
    /// 404 for a header that names no trained task.
    pub(crate) fn recognize(
        &self,
        header: Option<&str>,
        contract: &Contract,
    ) -> Result<Option<Arc<Task>>, Error> {
        if let Some(name) = header {
            return self.get(name).map(Some).map_err(|error| error.with_param("x-pointsman-task"));
        }
        let Contract::Labels(wanted) = contract else { return Ok(None) };
        Ok(self.0.values().find(|task| task.has_labels(wanted)).cloned())
    }

    /// How often a task's answers are right, by cross-validation.
    #[expect(clippy::cast_possible_truncation, reason = "a share between 0 and 1")]
    pub(crate) fn quality(&self, model: &str) -> Option<f32> {
        let name = model.strip_prefix("task/")?;
        self.0.get(name).map(|task| task.accuracy as f32)
    }
}

impl Task {
    /// Trains a task from texts and their labels.
    ///
    /// # Errors
    /// The encoder failed, or the examples cannot be learnt from; the message says why.
    pub(crate) fn train(
        name: &str,
        examples: &[(String, String)],
        encoder: &dyn Embed,
        now_ms: u64,
    ) -> Result<(Self, learn::HeadReport), Error> {
        let texts: Vec<&str> = examples.iter().map(|(text, _)| text.as_str()).collect();
        let mut vectors = Vec::with_capacity(texts.len());
        for batch in texts.chunks(64) {
            vectors.extend(encoder.embed(batch)?);
        }
        let mut names: Vec<String> = examples.iter().map(|(_, label)| label.clone()).collect();
        names.sort();
        names.dedup();
        let labels: Vec<usize> =
            examples.iter().map(|(_, label)| names.partition_point(|name| name < label)).collect();
        let trained = learn::train_head(&vectors, &labels, &names, &learn::HeadOptions::default())
            .map_err(|unfit| Error::new(Fault::Unprocessable, "cannot_train", unfit.to_string()))?;
        let (centroids, similarities) = neighbourhood(&vectors, &labels, names.len());
        let task = Self {
            name: name.to_owned(),
            encoder: encoder.fingerprint().to_owned(),
            labels: examples.len() as u64,
            accuracy: trained.report.accuracy,
            trained_at_ms: now_ms,
            threshold: threshold(&trained.report, &labels),
            head: trained.head,
            centroids,
            similarities,
        };
        Ok((task, trained.report))
    }

    fn read(path: &Path, encoder: &str) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(|error| error.to_string())?;
        let task: Self =
            serde_json::from_slice(&bytes).map_err(|error| format!("not a trained task: {error}"))?;
        if task.encoder != encoder {
            let name = &task.name;
            return Err(format!(
                "trained with another encoder; train it again: pointsman task train {name} --data FILE"
            ));
        }
        Ok(task)
    }

    /// Writes the task beside, then renames it into place.
    pub(crate) fn write(&self, state: &Path) -> std::io::Result<PathBuf> {
        let folder = folder(state);
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{}.json", self.name));
        let beside = folder.join(format!("{}.json.tmp", self.name));
        let mut file = fs::File::create(&beside)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        Ok(path)
    }

    /// What the task's head says of a text's vector: the label, its calibrated probability, and how usual the text is.
    pub(crate) fn ask(&self, vector: &[f32]) -> (&str, f32, f32) {
        let prediction = self.head.predict(vector);
        (self.head.label(prediction.best), prediction.confidence(), self.usual(vector))
    }

    /// How much a text is like the training texts, from 0 to 1: p / (p + 0.05), where p is the share of training texts
    /// that are as far from their nearest label's mean as this one, or farther: a conformal p-value (Vovk et al.,
    /// Algorithmic Learning in a Random World, 2005), so that 95 of 100 texts like the training ones come out over 0.5.
    fn usual(&self, vector: &[f32]) -> f32 {
        const TAIL: f32 = 0.05;
        let nearest = self.centroids.iter().map(|mean| cosine(mean, vector)).fold(-1.0_f32, f32::max);
        let farther = self.similarities.partition_point(|known| *known <= nearest);
        let share = (farther as f32 + 1.0) / (self.similarities.len() as f32 + 1.0);
        share / (share + TAIL)
    }

    /// The match of a request that was recognised as this task's.
    pub(crate) fn matched(&self, vector: &[f32]) -> TaskMatch {
        TaskMatch { name: self.name.clone(), labels: self.labels, in_distribution: self.usual(vector) }
    }

    fn has_labels(&self, wanted: &[String]) -> bool {
        wanted.len() == self.head.labels.len()
            && wanted
                .iter()
                .all(|label| self.head.labels.iter().any(|known| known.eq_ignore_ascii_case(label)))
    }

    /// Answers a request with its label. Where it is unsure and another target waits (`must` is false), it hands on.
    pub(crate) fn answer(
        &self,
        request: &ChatRequest,
        vector: Option<Vector>,
        encoder: &dyn Embed,
        id: &str,
        created: u64,
        must: bool,
    ) -> Result<Completion, Error> {
        let text = request.last_user_text();
        let vector = match vector {
            Some(vector) => vector,
            None => encoder.embed(&[&text])?.pop().unwrap_or_default(),
        };
        let (label, confidence, usual) = self.ask(&vector);
        if confidence < self.threshold && !must {
            let said = format!(
                "task/{} is not sure enough: {confidence:.2} is below {:.2}.",
                self.name, self.threshold
            );
            return Err(Error::new(Fault::Unprocessable, "task_unsure", said));
        }
        let usage = Usage::exact(encoder.count_tokens(&text) as u64, encoder.count_tokens(label) as u64);
        let said = in_contract(label, &request.contract);
        let mut completion = Completion::of_text(id, created, &format!("task/{}", self.name), said, usage);
        let details = json!({ "label": label, "confidence": confidence, "in_distribution": usual });
        completion.extra.insert("pointsman".to_owned(), details);
        Ok(completion)
    }
}

/// The label in the form that the request asks for: bare, or as the first property of a JSON object that may hold it.
fn in_contract(label: &str, contract: &Contract) -> String {
    match contract {
        Contract::Free | Contract::Labels(_) => label.to_owned(),
        Contract::JsonObject => json!({ "label": label }).to_string(),
        Contract::JsonSchema(schema) => {
            let key = schema.get("properties").and_then(Value::as_object).and_then(|properties| {
                let may_hold = |property: &Value| match property.get("enum").and_then(Value::as_array) {
                    Some(allowed) => allowed.iter().any(|value| value == label),
                    None => property.get("type").is_some_and(|kind| kind == "string"),
                };
                properties.iter().find(|(_, property)| may_hold(property)).map(|(key, _)| key.as_str())
            });
            json!({ key.unwrap_or("label"): label }).to_string()
        }
    }
}

/// The lowest confidence from which on held-out answers, taken twenty at a time, were right at least every second time;
/// 0 where they always were: the head never has to guess. (The certificate with a bound comes with the label store.)
fn threshold(report: &learn::HeadReport, labels: &[usize]) -> f32 {
    let mut answers: Vec<(f32, bool)> = labels
        .iter()
        .enumerate()
        .map(|(row, label)| {
            let probabilities = report.probabilities(row);
            let best =
                probabilities.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |best| best.0);
            (probabilities.get(best).copied().unwrap_or(0.0), best == *label)
        })
        .collect();
    answers.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut threshold = 1.0;
    for window in answers.chunks(20) {
        let right = window.iter().filter(|answer| answer.1).count();
        if 2 * right < window.len() {
            return threshold;
        }
        threshold = window.last().map_or(threshold, |answer| answer.0);
    }
    0.0
}

/// The labels' mean vectors, and each text's cosine to the nearest mean, its own label's taken without itself.
fn neighbourhood(vectors: &[Vector], labels: &[usize], classes: usize) -> (Vec<Vector>, Vec<f32>) {
    let dimensions = vectors.first().map_or(0, Vec::len);
    let mut sums = vec![vec![0.0_f32; dimensions]; classes];
    for (vector, label) in vectors.iter().zip(labels) {
        sums[*label].iter_mut().zip(vector).for_each(|(sum, value)| *sum += value);
    }
    let centroids: Vec<Vector> = sums.iter().map(|sum| unit(sum.clone())).collect();
    let mut similarities: Vec<f32> = vectors
        .iter()
        .zip(labels)
        .map(|(vector, label)| {
            let without = unit(sums[*label].iter().zip(vector).map(|(sum, value)| sum - value).collect());
            let others = centroids.iter().enumerate().filter(|(place, _)| place != label);
            others.map(|(_, mean)| cosine(mean, vector)).fold(cosine(&without, vector), f32::max)
        })
        .collect();
    similarities.sort_by(f32::total_cmp);
    (centroids, similarities)
}

fn unit(mut vector: Vector) -> Vector {
    let length = cosine(&vector, &vector).sqrt().max(1e-12);
    vector.iter_mut().for_each(|value| *value /= length);
    vector
}

fn folder(state: &Path) -> PathBuf {
    state.join("tasks")
}

/// Checks a task's name.
///
/// # Errors
/// It cannot be a file's name and a metric's label.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if plain && (1..=NAME_BYTES_MAX).contains(&name.len()) {
        return Ok(());
    }
    Err(format!("`{name}` is no task name: use 1 to {NAME_BYTES_MAX} letters, digits, `-` and `_`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_takes_the_form_that_is_asked_for() {
        let schema = |text: &str| Contract::JsonSchema(serde_json::from_str(text).expect("a schema"));
        for (contract, expected) in [
            (Contract::Free, "pos"),
            (Contract::JsonObject, r#"{"label":"pos"}"#),
            (
                schema(r#"{"properties":{"why":{"enum":["x"]},"sentiment":{"enum":["pos","neg"]}}}"#),
                r#"{"sentiment":"pos"}"#,
            ),
            (
                schema(r#"{"properties":{"n":{"type":"number"},"verdict":{"type":"string"}}}"#),
                r#"{"verdict":"pos"}"#,
            ),
            (schema("{}"), r#"{"label":"pos"}"#),
        ] {
            assert_eq!(in_contract("pos", &contract), expected);
        }
    }

    #[test]
    fn names_are_plain() {
        for (name, good) in [("banking-77", true), ("", false), ("../x", false), ("a b", false)] {
            assert_eq!(check_name(name).is_ok(), good, "{name}");
        }
    }
}
