//! `pointsman task`: closed tasks, their labels, and the local models that are trained from them.

mod labels;
mod show;
mod train;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::Error;
use classify::Encoder;
use policy::Policies;
use policy::tasks::TaskSpecs;

pub(crate) use train::read_examples;

use crate::Failure;
use crate::cli::TaskCommand;
use crate::commands::{load_settings, say};
use crate::house::in_words;
use crate::live::Files;
use crate::renew::load_encoder;
use crate::settings::Settings;
use crate::tasks::tuned::{Bases, runtime};
use crate::tasks::version::Version;
use crate::tasks::{Named, Opinion, Task, Tasks, Writer, adopt, clerk, undeclared, vector_scheme};

/// The longest that an answer may take on the command line.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// Does what the user asked for.
pub(crate) fn task(config: &Path, command: TaskCommand) -> Result<(), Failure> {
    let settings = load_settings(config)?;
    match command {
        TaskCommand::Train { name, data, background } => {
            train::train(&settings, &name, data.as_deref(), background)
        }
        TaskCommand::List { json } => show::list(&settings, json),
        TaskCommand::Show { name, json } => show::show(&settings, &name, json),
        TaskCommand::Ask { name, text } => ask(&settings, &name, &text),
        TaskCommand::Label { name, text, label, tenant } => {
            labels::label(&settings, &name, &text, &label, &tenant)
        }
        TaskCommand::Export { name } => labels::export(&settings, &name),
        TaskCommand::Erase { name, tenant, before, text, by, all } => {
            labels::erase(&settings, &name, &labels::erasure(tenant, before, text, by.as_deref(), all)?)
        }
        TaskCommand::Promote { name, version } => promote(&settings, &name, version),
        TaskCommand::Rollback { name } => roll_back(&settings, &name),
        TaskCommand::Adopt { id, name } => adopt_proposal(&settings, &id, name.as_deref()),
    }
}

/// The encoder and the tasks, as a gateway would open them.
fn open(settings: &Settings) -> Result<(Encoder, Tasks), Failure> {
    let (_, specs) = declared(settings)?;
    let encoder = load_encoder(settings).map_err(Failure::Unavailable)?;
    let (tasks, problems) = Tasks::open(&specs, &settings.files.state, &encoder, None);
    for problem in problems {
        say(&format!("left out: {problem}"));
    }
    Ok((encoder, tasks))
}

fn declared(settings: &Settings) -> Result<(Policies, TaskSpecs), Failure> {
    Files::read(settings).and_then(|files| files.check(settings)).map_err(Failure::Wrong)
}

/// One task.
fn one(settings: &Settings, name: &str) -> Result<(Encoder, Arc<Task>), Failure> {
    let (encoder, tasks) = open(settings)?;
    let task = tasks.get(name).map_err(|error| Failure::Wrong(in_words(&error)))?;
    Ok((encoder, task))
}

fn ask(settings: &Settings, name: &str, text: &str) -> Result<(), Failure> {
    let (encoder, task) = one(settings, name)?;
    let wrong = |error: Error| Failure::Wrong(in_words(&error));
    let opinion = match task.ask(text, None, &encoder).map_err(wrong)? {
        Named::Says(opinion) => *opinion,
        Named::Writes(writer) => write(settings, &task, &writer, text).map_err(wrong)?,
    };
    let said = serde_json::to_string(&opinion.answer.said).unwrap_or_default();
    let covered = if opinion.accepted { "covered by its certificate" } else { "not covered: it would go on" };
    say(&format!(
        "{said}\nconfidence {:.3}, typicality {:.3}, {covered} (version {})",
        opinion.answer.confidence, opinion.answer.typicality, opinion.version.number
    ));
    Ok(())
}

/// What a version says that has to be asked to write.
fn write(settings: &Settings, task: &Task, writer: &Writer, text: &str) -> Result<Opinion, Error> {
    let (policies, _) = declared(settings).map_err(|_| Error::internal("the files have changed"))?;
    let (base, options) = Bases { settings, policies: &policies }.of(&task.spec())?;
    let model = local::Model::load(&options)?;
    model.set_adapters(task.adapters(&base).into_iter().collect())?;
    let deadline = Instant::now() + ANSWER_TIME;
    runtime()?.block_on(writer.write(task, &model, text, deadline))
}

fn promote(settings: &Settings, name: &str, number: u32) -> Result<(), Failure> {
    let (encoder, task) = one(settings, name)?;
    let version = Version::read(task.folder(), number, &vector_scheme(&encoder)).map_err(Failure::Wrong)?;
    if version.certificate.threshold.is_none() {
        return Err(Failure::Wrong(format!(
            "{} has no certificate, so it could answer nothing: train it with more labels, or ask less of it \
             (certificate.level of its file)",
            version.in_words()
        )));
    }
    write_standing(&task, |standing| {
        standing.promote(number);
        standing.drifted_at_ms = None;
    })?;
    say(&format!(
        "task/{name} is answered by {}; a running gateway takes it up by itself",
        version.in_words()
    ));
    Ok(())
}

fn roll_back(settings: &Settings, name: &str) -> Result<(), Failure> {
    let (_, task) = one(settings, name)?;
    let mut to = None;
    write_standing(&task, |standing| to = standing.roll_back())?;
    let Some(number) = to else {
        return Err(Failure::Wrong(format!("no version of task/{name} answered before the present one")));
    };
    say(&format!(
        "task/{name} is answered by version {number} again; a running gateway takes it up by itself"
    ));
    Ok(())
}

fn write_standing(
    task: &Task,
    change: impl FnOnce(&mut crate::tasks::version::Standing),
) -> Result<(), Failure> {
    task.change_standing(change).map_err(|error| unwritable(task.folder(), &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Unavailable(format!("{} cannot be written: {error}", path.display()))
}

fn adopt_proposal(settings: &Settings, id: &str, name: Option<&str>) -> Result<(), Failure> {
    let (_, specs) = declared(settings)?;
    let proposals = undeclared(clerk::read_discovery(&settings.files.state).proposals(), &specs);
    let Some(proposal) = proposals.iter().find(|proposal| proposal.id == id) else {
        let known: Vec<&str> = proposals.iter().map(|proposal| proposal.id.as_str()).collect();
        let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
        return Err(Failure::Wrong(format!("there is no proposal `{id}`; proposed: {known}")));
    };
    let path = adopt(settings, proposal, name).map_err(Failure::Wrong)?;
    say(&format!("written to {}; a running gateway takes it up by itself", path.display()));
    Ok(())
}
