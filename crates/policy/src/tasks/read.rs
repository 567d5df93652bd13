//! From the texts of `config/tasks/*.toml` to [`TaskSpecs`]: every key with its range and its default.

use api::Template;

use super::{
    Audit, Canary, Capture, DAY, Few, Needs, Recognize, Reference, TaskKind, TaskSpec, TaskSpecs, Train,
    Tuning,
};
use crate::catalogue::{Catalogue, ModelKind, TASK_PREFIX};
use crate::file::{Document, Field, Mistakes, Table, allowed};

const LABELS_MAX: usize = 1000;
const LABEL_BYTES_MAX: usize = 200;
const EXAMPLES_MAX: u64 = 1_000_000;

pub(super) fn tasks(files: &[(String, String)], catalogue: &Catalogue) -> Result<TaskSpecs, Mistakes> {
    let mut specs: Vec<TaskSpec> = Vec::new();
    let mut mistakes: Vec<Mistakes> = Vec::new();
    for (label, text) in files {
        match task(label, text, catalogue, &specs) {
            Ok(spec) => specs.push(spec),
            Err(told) => mistakes.push(told),
        }
    }
    if let Some(mistakes) = Mistakes::of_files(mistakes) {
        return Err(mistakes);
    }
    specs.sort_by(|a, b| b.fixed_bytes().cmp(&a.fixed_bytes()).then_with(|| a.name.cmp(&b.name)));
    Ok(TaskSpecs(specs))
}

fn task(label: &str, text: &str, catalogue: &Catalogue, known: &[TaskSpec]) -> Result<TaskSpec, Mistakes> {
    let document = Document::parse(label, text)?;
    let root = document.root();
    let mut spec = TaskSpec::named(&name(&root, label, known));
    let kind = root.optional("kind").one_of(TaskKind::ALL);
    spec.kind = kind.unwrap_or(spec.kind);
    spec.labels = labels(&root.optional("labels"), spec.kind);
    spec.tenants = root.optional("tenants").text_list().iter().map(|item| item.text.to_owned()).collect();
    scale(&root, &mut spec);
    section(&root, "recognize", |table| recognize(table, &mut spec.recognize));
    section(&root, "reference", |table| reference(table, &mut spec.reference, catalogue));
    section(&root, "capture", |table| capture(table, &mut spec.capture));
    section(&root, "few", |table| few(table, &mut spec.few));
    section(&root, "train", |table| train(table, &mut spec.train, spec.capture.examples_max));
    adapter(&root, &mut spec, catalogue);
    section(&root, "certificate", |table| certificate(table, &mut spec.certificate));
    section(&root, "canary", |table| canary(table, &mut spec.canary));
    section(&root, "audit", |table| audit(table, &mut spec.audit, catalogue));
    apart(&root.optional("recognize"), &spec, known);
    root.finish();
    document.check()?;
    Ok(spec)
}

/// Reads one section, if it is there.
fn section<'d>(root: &Table<'d>, key: &str, read: impl FnOnce(&Table<'d>)) {
    if let Some(table) = root.optional(key).table() {
        read(&table);
        table.finish();
    }
}

/// Takes a value that is there.
fn take<T>(into: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *into = given;
    }
}

fn count(field: &Field<'_>, low: u64, high: u64) -> Option<usize> {
    field.integer(low..=high).and_then(|number| usize::try_from(number).ok())
}

fn name(root: &Table<'_>, label: &str, known: &[TaskSpec]) -> String {
    let field = root.optional("name");
    let file = label.rsplit(['/', '\\']).next().unwrap_or(label);
    let name = field.text().unwrap_or_else(|| file.strip_suffix(".toml").unwrap_or(file));
    if let Err(wrong) = super::check_name(name) {
        field.wrong(format!("`{name}` is no name: {wrong}"));
    }
    if known.iter().any(|other| other.name == name) {
        field.wrong(format!(
            "the task `{name}` is declared in another file, too; every task needs its own name"
        ));
    }
    name.to_owned()
}

fn labels(field: &Field<'_>, kind: TaskKind) -> Vec<String> {
    let items = field.text_list();
    if field.is_given() && !kind.has_labels() {
        field.wrong(format!(
            "a task of the kind `{}` has no set of labels; allowed for: classification, multi_label, short_answer",
            kind.name()
        ));
    }
    if items.len() == 1 || items.len() > LABELS_MAX {
        field.wrong(format!("a set has 2 to {LABELS_MAX} labels; without any they are learnt"));
    }
    let mut labels: Vec<String> = Vec::new();
    for item in items {
        if item.text.len() > LABEL_BYTES_MAX {
            item.wrong(format!("this label is longer than {LABEL_BYTES_MAX} bytes"));
        }
        if labels.iter().any(|known| known.eq_ignore_ascii_case(item.text.trim())) {
            item.wrong(format!("the label `{}` is given twice (capitals do not count)", item.text));
        }
        labels.push(item.text.trim().to_owned());
    }
    labels
}

#[expect(clippy::cast_possible_truncation, reason = "scales need no more digits than f32 has")]
fn scale(root: &Table<'_>, spec: &mut TaskSpec) {
    let field = root.optional("scale");
    if spec.kind != TaskKind::Regression {
        if field.is_given() {
            field.wrong(format!(
                "a task of the kind `{}` has no scale; allowed for: regression",
                spec.kind.name()
            ));
        }
        return;
    }
    if !field.is_given() {
        field.wrong("a regression needs its scale: the table [scale] with min and max");
    }
    let Some(table) = field.table() else { return };
    let all = f64::from(f32::MIN)..=f64::from(f32::MAX);
    let max_field = table.required("max");
    let (min, max) = (table.required("min").number(all.clone()), max_field.number(all.clone()));
    let tolerance = table.optional("tolerance").number(0.0..=*all.end());
    table.finish();
    let (Some(min), Some(max)) = (min, max) else { return };
    if min >= max {
        max_field.wrong("the greatest answer must be above the least");
    }
    spec.scale = Some((min as f32, max as f32));
    // A tenth of the scale, unless the operator knows better.
    spec.tolerance = tolerance.unwrap_or((max - min) / 10.0) as f32;
}

fn recognize(table: &Table<'_>, into: &mut Recognize) {
    let (system, user) = (table.optional("system"), table.optional("user"));
    into.system = template(&system);
    into.user = template(&user);
    take(&mut into.labels, table.optional("labels").boolean());
    let has_input = |template: &Option<Template>| template.as_ref().is_some_and(Template::has_input);
    if has_input(&into.system) && has_input(&into.user) {
        user.wrong("both templates have an `{input}`; give the other holes another name");
    }
    if into.user.is_some() && !has_input(&into.system) && !has_input(&into.user) {
        user.wrong("this template has no `{input}`: nothing in it would be the task's input");
    }
}

fn template(field: &Field<'_>) -> Option<Template> {
    match Template::parse(field.text()?) {
        Ok(template) => Some(template),
        Err(wrong) => {
            field.wrong(wrong);
            None
        }
    }
}

/// Two tasks must not know the same requests: one of them would never get any.
fn apart(field: &Field<'_>, spec: &TaskSpec, known: &[TaskSpec]) {
    let same = |other: &&TaskSpec| {
        let tenants = spec.tenants.is_empty()
            || other.tenants.is_empty()
            || spec.tenants.iter().any(|tenant| other.is_for(tenant));
        let (own, others) = (&spec.recognize, &other.recognize);
        tenants && (&own.system, &own.user) == (&others.system, &others.user)
    };
    if let Some(other) = known.iter().filter(|_| spec.has_template()).find(same) {
        field.wrong(format!("the task `{}` has the same templates for the same tenants", other.name));
    }
}

fn reference(table: &Table<'_>, into: &mut Reference, catalogue: &Catalogue) {
    let models = table.optional("models").text_list();
    for item in &models {
        match model(item.text, catalogue) {
            Ok(name) if into.models.contains(&name) => {
                item.wrong(format!("`{}` is in this list twice", item.text));
            }
            Ok(name) => into.models.push(name),
            Err(wrong) => item.wrong(wrong),
        }
    }
    take(&mut into.self_agreement_min, table.optional("self_agreement_min").probability());
    let share = table.optional("self_agreement_share");
    take(&mut into.self_agreement_share, share.probability());
    if into.self_agreement_min > 0.0 && into.self_agreement_share == 0.0 {
        share.wrong(
            "where nothing is asked twice, no self-agreement is ever known; raise it, or set self_agreement_min = 0",
        );
    }
}

/// The own name of a model that may be a reference.
fn model(wanted: &str, catalogue: &Catalogue) -> Result<String, String> {
    if wanted.starts_with(TASK_PREFIX) {
        return Err(format!("`{wanted}` is a trained task: it cannot be its own reference"));
    }
    match catalogue.get(wanted) {
        Some(model) if model.kind == ModelKind::Extractive => {
            Err(format!("`{wanted}` quotes passages: it answers no task"))
        }
        Some(model) => Ok(model.name.to_string()),
        None => Err(format!("there is no model `{wanted}`{}", allowed(wanted, catalogue.names()))),
    }
}

fn capture(table: &Table<'_>, into: &mut Capture) {
    take(&mut into.enabled, table.optional("enabled").boolean());
    let days = table.optional("keep_days").integer(1..=3650);
    take(&mut into.keep, days.and_then(|days| u32::try_from(days).ok()).map(|days| days * DAY));
    take(&mut into.examples_max, count(&table.optional("examples_max"), 100, EXAMPLES_MAX));
}

fn few(table: &Table<'_>, into: &mut Few) {
    take(&mut into.enabled, table.optional("enabled").boolean());
    take(&mut into.examples, count(&table.optional("examples"), 1, 64));
    take(&mut into.tokens_max, table.optional("tokens_max").integer(50..=100_000));
    take(&mut into.without_share, table.optional("without_share").probability());
}

fn train(table: &Table<'_>, into: &mut Train, examples_max: usize) {
    take(&mut into.auto, table.optional("auto").boolean());
    let least = table.optional("examples_min");
    take(&mut into.examples_min, count(&least, 20, EXAMPLES_MAX));
    if into.examples_min > examples_max {
        least.wrong(format!(
            "{} examples are never there: capture.examples_max is {examples_max}",
            into.examples_min
        ));
    }
    #[expect(clippy::cast_possible_truncation, reason = "a share needs no more digits than f32 has")]
    let grown = table.optional("grow_share").number(0.01..=10.0).map(|share| share as f32);
    take(&mut into.grow_share, grown);
    take(&mut into.words, table.optional("words").boolean());
    take(&mut into.balance, table.optional("balance").boolean());
}

fn adapter(root: &Table<'_>, spec: &mut TaskSpec, catalogue: &Catalogue) {
    let field = root.optional("adapter");
    if field.is_given() && spec.kind != TaskKind::ShortAnswer {
        field.wrong(format!(
            "a task of the kind `{}` has no adapter; allowed for: short_answer",
            spec.kind.name()
        ));
    }
    let Some(table) = field.table() else { return };
    tuning(&table, &mut spec.adapter, catalogue);
    table.finish();
}

fn tuning(table: &Table<'_>, into: &mut Tuning, catalogue: &Catalogue) {
    let field = table.optional("base");
    if let Some(wanted) = field.text() {
        match catalogue.get(wanted) {
            Some(model) if matches!(model.kind, ModelKind::Llama { .. }) => {
                into.base = Some(model.name.to_string());
            }
            Some(_) => field.wrong(format!(
                "`{wanted}` does not run in this process; allowed: models of the kind `llama`"
            )),
            None => {
                field.wrong(format!("there is no model `{wanted}`{}", allowed(wanted, catalogue.names())));
            }
        }
    }
    take(&mut into.minutes, table.optional("minutes").integer(1..=1440));
    #[expect(clippy::cast_possible_truncation, reason = "a share needs no more digits than f32 has")]
    let hold_out = table.optional("hold_out").number(0.1..=0.9).map(|share| share as f32);
    take(&mut into.hold_out, hold_out);
}

fn certificate(table: &Table<'_>, into: &mut Needs) {
    take(&mut into.level, table.optional("level").number(0.001..=0.5));
    take(&mut into.confidence, table.optional("confidence").number(0.5..=0.999));
    take(&mut into.coverage_min, table.optional("coverage_min").number(0.0..=1.0));
    let days = table.optional("valid_days").integer(1..=3650);
    take(&mut into.valid, days.and_then(|days| u32::try_from(days).ok()).map(|days| days * DAY));
}

fn canary(table: &Table<'_>, into: &mut Canary) {
    take(&mut into.share, table.optional("share").probability());
    take(&mut into.answers, table.optional("answers").integer(0..=EXAMPLES_MAX));
}

fn audit(table: &Table<'_>, into: &mut Audit, catalogue: &Catalogue) {
    take(&mut into.share, table.optional("share").probability());
    take(&mut into.usd_per_day, table.optional("usd_per_day").money_usd());
    let field = table.optional("model");
    match field.text().map(|wanted| model(wanted, catalogue)) {
        Some(Ok(name)) => into.model = Some(name),
        Some(Err(wrong)) => field.wrong(wrong),
        None => {}
    }
}
