//! Closed tasks on their way from no labels to few to many: which request belongs to which, what its labels are, which
//! trained version answers it, and how that is proved and watched.
//!
//! | file          | owns                                                              |
//! |---------------|-------------------------------------------------------------------|
//! | `task.rs`     | one task, as requests see it                                      |
//! | `case.rs`     | one request of it                                                 |
//! | `labels.rs`   | its labelled examples on disk                                     |
//! | `described.rs`| what the encoder tells of them                                    |
//! | `said.rs`     | between an answer's text and what it says                         |
//! | `few.rs`      | examples in the prompts of large models                           |
//! | `training.rs` | from labels to a version with a certificate, in a process aside   |
//! | `tuned.rs`    | adapters of a generative model, for short answers                 |
//! | `version.rs`  | trained versions on disk, and which of them serves                |
//! | `watch.rs`    | what is counted while they serve                                  |
//! | `clerk.rs`    | the one thread that changes any of it                             |
//! | `verdicts.rs` | what follows from what it is told                                 |
//! | `told.rs`     | what people and programs read of it                               |

mod case;
pub(crate) mod clerk;
pub(crate) mod described;
pub(crate) mod examples;
mod few;
pub(crate) mod labels;
pub(crate) mod said;
mod task;
pub(crate) mod told;
pub(crate) mod training;
pub(crate) mod tuned;
mod verdicts;
pub(crate) mod version;
mod watch;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::{ChatRequest, Contract, Embed, Error, Fault, Role};
use classify::{DESCRIBED_PARTS, Encoder, Proposal};
use policy::tasks::{Recognize, TaskSpec, TaskSpecs};

use crate::journal::write_whole;
use crate::settings::Settings;

pub(crate) use case::{Case, Named, Opinion, Writer};
pub(crate) use few::with_examples;
pub(crate) use task::{Task, in_share};

/// All tasks: those that the operator declares, and those that have labels.
#[derive(Default)]
pub(crate) struct Tasks {
    by_name: BTreeMap<String, Arc<Task>>,
    /// The same, those that say most about their requests first.
    knowing: Vec<Arc<Task>>,
}

/// What a request says of itself, as far as it tells its task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) tenant: &'a str,
    /// `x-pointsman-task`.
    pub(crate) header: Option<&'a str>,
    pub(crate) system: &'a str,
    /// The last thing that the user said.
    pub(crate) user: &'a str,
    /// Nothing was said before it: a template is for requests of one turn.
    pub(crate) single_turn: bool,
    pub(crate) contract: &'a Contract,
}

impl Tasks {
    /// Opens every task; those of `before` that are still there are kept as they are, with their new specification. What
    /// cannot be opened is told in words.
    pub(crate) fn open(
        specs: &TaskSpecs,
        state: &Path,
        encoder: &Encoder,
        before: Option<&Self>,
    ) -> (Self, Vec<String>) {
        let mut tasks = Self::default();
        let scheme = vector_scheme(encoder);
        let mut problems = Vec::new();
        let declared = specs.iter().cloned();
        let labelled = names_below(&folder(state)).into_iter().filter(|name| specs.get(name).is_none());
        for spec in declared.chain(labelled.map(|name| TaskSpec::named(&name))) {
            let name = spec.name.clone();
            let known = before.and_then(|before| before.by_name.get(&name));
            let task = match known {
                Some(task) => {
                    task.set_spec(spec);
                    task.refresh().map(|()| Arc::clone(task))
                }
                None => Task::open(folder(state).join(&name), spec, &scheme).map(Arc::new),
            };
            match task {
                Ok(task) => {
                    problems.extend(task.served().problems.iter().cloned());
                    tasks.knowing.push(Arc::clone(&task));
                    tasks.by_name.insert(name, task);
                }
                Err(error) => problems.push(format!("task `{name}`: {error}")),
            }
        }
        (tasks, problems)
    }

    /// The task of this name.
    ///
    /// # Errors
    /// 404, with the names that there are.
    pub(crate) fn get(&self, name: &str) -> Result<Arc<Task>, Error> {
        self.among(name, |_| true)
    }

    /// The task of this name, for one of the tenants that it is for.
    ///
    /// # Errors
    /// 404, with the names that there are for the tenant.
    pub(crate) fn get_for(&self, name: &str, tenant: &str) -> Result<Arc<Task>, Error> {
        self.among(name, |task| task.spec().is_for(tenant))
    }

    fn among(&self, name: &str, open: impl Fn(&Task) -> bool) -> Result<Arc<Task>, Error> {
        self.by_name.get(name).filter(|task| open(task)).cloned().ok_or_else(|| {
            let known = self.by_name.iter().filter(|(_, task)| open(task));
            let known: Vec<String> = known.map(|(name, _)| format!("task/{name}")).collect();
            let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
            let shown: String = name.chars().take(100).collect();
            let message = format!("There is no task `{shown}`. Known: {known}.");
            Error::new(Fault::NotFound, "model_not_found", message).with_param("model")
        })
    }

    /// All adapters that are to be on the model `base`, by their names there.
    pub(crate) fn adapters(&self, base: &str) -> BTreeMap<String, PathBuf> {
        self.by_name.values().flat_map(|task| task.adapters(base)).collect()
    }

    /// All tasks, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.by_name.values()
    }

    /// How often the accepted answers of a task's model are right, by its certificate.
    #[expect(clippy::cast_possible_truncation, reason = "a share between 0 and 1")]
    pub(crate) fn quality(&self, model: &str) -> Option<f32> {
        let served = self.by_name.get(model.strip_prefix(policy::TASK_PREFIX)?)?.served();
        served.serving.as_ref().map(|version| 1.0 - version.certificate.level as f32)
    }

    /// The task that a request belongs to, and its input there: the one that its header names, else one whose template it
    /// fits, else one whose labels its answer must come from.
    ///
    /// # Errors
    /// 404 for a header that names no task.
    pub(crate) fn recognize(&self, asked: &Asked<'_>) -> Result<Option<(Arc<Task>, String)>, Error> {
        if let Some(name) = asked.header {
            let task =
                self.get_for(name, asked.tenant).map_err(|error| error.with_param("x-pointsman-task"))?;
            let input = task.spec().input(asked.system, asked.user).unwrap_or(asked.user).to_owned();
            return Ok(Some((task, input)));
        }
        let mut open = self.knowing.iter().filter(|task| task.spec().is_for(asked.tenant));
        let fits = |task: &&Arc<Task>| {
            let spec = task.spec();
            spec.has_template().then(|| spec.input(asked.system, asked.user).map(str::to_owned)).flatten()
        };
        if asked.single_turn
            && let Some((task, input)) = open.clone().find_map(|task| Some((task, fits(&task)?)))
        {
            return Ok(Some((Arc::clone(task), input)));
        }
        let Some(wanted) = label_set(asked.contract) else { return Ok(None) };
        let same = open.find(|task| {
            let spec = task.spec();
            spec.recognize.labels && are_same(&task.label_names(), &wanted)
        });
        Ok(same.map(|task| (Arc::clone(task), asked.user.to_owned())))
    }
}

/// Whether a request says one thing: instructions, then one turn of the user.
pub(crate) fn is_single_turn(request: &ChatRequest) -> bool {
    let mut turns =
        request.messages.iter().filter(|message| !matches!(message.role, Role::System | Role::Developer));
    turns.next().is_some_and(|message| message.role == Role::User) && turns.next().is_none()
}

/// The labels that an answer must come from: as the prompt lists them, or as the only closed property of a schema does.
fn label_set(contract: &Contract) -> Option<Vec<String>> {
    match contract {
        Contract::Labels(labels) => Some(labels.clone()),
        Contract::JsonSchema(schema) => {
            let properties = schema.get("properties")?.as_object()?;
            let mut closed = properties.values().filter_map(|property| property.get("enum")?.as_array());
            let only = closed.next().filter(|_| closed.next().is_none())?;
            only.iter().map(|value| value.as_str().map(str::to_owned)).collect()
        }
        Contract::Free | Contract::JsonObject => None,
    }
}

fn are_same(known: &[String], wanted: &[String]) -> bool {
    known.len() == wanted.len()
        && wanted.iter().all(|label| known.iter().any(|known| known.eq_ignore_ascii_case(label)))
}

/// Those prompts that no declared task knows.
pub(crate) fn undeclared(proposals: Vec<Proposal>, specs: &TaskSpecs) -> Vec<Proposal> {
    let declared = |proposal: &Proposal| {
        specs.iter().any(|spec| {
            spec.recognize.system == proposal.system
                && spec.recognize.user == proposal.user
                && spec.is_for(&proposal.tenant)
        })
    };
    proposals.into_iter().filter(|proposal| !declared(proposal)).collect()
}

/// Declares a proposed task, under a name of its own where none is given: writes its file, and says where.
///
/// # Errors
/// In words: the name is wrong or taken, or the file cannot be written.
pub(crate) fn adopt(settings: &Settings, proposal: &Proposal, name: Option<&str>) -> Result<PathBuf, String> {
    let name = name.map_or_else(|| format!("task-{}", proposal.id), str::to_owned);
    policy::tasks::check_name(&name).map_err(|why| format!("`{name}`: {why}"))?;
    let path = settings.files.tasks.join(format!("{name}.toml"));
    if path.exists() {
        return Err(format!("{} is there already", path.display()));
    }
    let spec = TaskSpec {
        labels: proposal.labels.iter().map(|(label, _)| label.clone()).collect(),
        tenants: vec![proposal.tenant.clone()],
        recognize: Recognize { system: proposal.system.clone(), user: proposal.user.clone(), labels: false },
        ..TaskSpec::named(&name)
    };
    write_whole(&path, |file| file.write_all(spec.to_toml().as_bytes()))
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    Ok(path)
}

/// Names what makes the vectors that tasks are learnt from.
pub(crate) fn vector_scheme(encoder: &Encoder) -> String {
    format!("{}/described-{DESCRIBED_PARTS}", encoder.fingerprint())
}

/// Where the tasks of a state folder are.
pub(crate) fn folder(state: &Path) -> PathBuf {
    state.join("tasks")
}

/// The folders of tasks; other names are not ours.
fn names_below(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| policy::tasks::check_name(name).is_ok())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_labels_of_an_answer_are_found_in_its_contract() {
        let schema =
            |text: &str| Contract::JsonSchema(serde_json::from_str::<Value>(text).expect("a schema"));
        for (contract, expected) in [
            (Contract::Free, None),
            (Contract::Labels(vec!["a".into(), "b".into()]), Some(vec!["a", "b"])),
            (
                schema(r#"{"properties":{"why":{"type":"string"},"mood":{"enum":["a","b"]}}}"#),
                Some(vec!["a", "b"]),
            ),
            (schema(r#"{"properties":{"x":{"enum":["a"]},"y":{"enum":["b"]}}}"#), None),
            (schema(r#"{"properties":{"x":{"enum":[1, 2]}}}"#), None),
        ] {
            let expected = expected.map(|labels| labels.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(label_set(&contract), expected);
        }
        let same = |a: &[&str], b: &[&str]| {
            let own = |labels: &[&str]| labels.iter().map(|&l| l.to_owned()).collect::<Vec<_>>();
            are_same(&own(a), &own(b))
        };
        assert!(
            same(&["Good", "bad"], &["BAD", "good"]) && !same(&["a"], &["a", "b"]) && !same(&["a"], &["b"])
        );
    }
}
