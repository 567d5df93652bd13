//! From a [`TaskSpec`] to the file that declares it, as an operator would want to find it: every key, with what it means.

use std::fmt::{self, Write as _};
use std::time::Duration;

use api::Template;
use toml::Value;

use super::{DAY, TaskKind, TaskSpec};

/// Comments begin in this column, where the value leaves room for it.
const COMMENT_COLUMN: usize = 34;

pub(super) fn toml(spec: &TaskSpec) -> String {
    let mut file = File(format!("# The task `task/{}`.\n\n", spec.name));
    file.key("name", text(&spec.name), "used as task/NAME");
    file.key("kind", text(spec.kind.name()), "classification, multi_label, regression or short_answer");
    if spec.kind.has_labels() {
        file.key("labels", texts(&spec.labels), "[] learns them from the labelled examples");
    }
    file.key("tenants", texts(&spec.tenants), "whose requests may belong to it; [] everybody's");

    file.section("recognize", "how its requests are told from others, besides the header x-pointsman-task");
    let recognize = &spec.recognize;
    file.maybe("system", recognize.system.as_ref().map(template), "the system prompt; absent: any");
    file.maybe("user", recognize.user.as_ref().map(template), "the message; absent: all of it is the input");
    file.key(
        "labels",
        recognize.labels,
        "a request whose answer must come from these labels belongs here, too",
    );

    if let Some((min, max)) = spec.scale {
        file.section("scale", "the numbers that it answers");
        file.key("min", min, "the least");
        file.key("max", max, "the greatest");
        file.key("tolerance", spec.tolerance, "numbers no further apart agree");
    }

    let reference = &spec.reference;
    file.section("reference", "whose answers become labels");
    file.key("models", texts(&reference.models), "[] every external model");
    file.key("self_agreement_min", reference.self_agreement_min, "with itself, asked twice; 0 asks nothing");
    file.key(
        "self_agreement_share",
        reference.self_agreement_share,
        "of its answers that are asked for twice",
    );

    file.section("capture", "what is kept of the traffic");
    file.key("enabled", spec.capture.enabled, "");
    file.key("keep_days", days(spec.capture.keep), "");
    file.key("examples_max", spec.capture.examples_max, "");

    file.section("few", "labelled examples in the prompts of large models");
    file.key("enabled", spec.few.enabled, "");
    file.key("examples", spec.few.examples, "the nearest so many, balanced across labels");
    file.key("tokens_max", spec.few.tokens_max, "of all of them");
    file.key("without_share", spec.few.without_share, "of requests left without, to measure what they do");

    file.section("train", "when a local model is trained, and from what");
    file.key("auto", spec.train.auto, "by itself, when the labels have grown");
    file.key("examples_min", spec.train.examples_min, "the labels that the first training waits for");
    file.key("grow_share", spec.train.grow_share, "the growth that the next one waits for");
    file.key("words", spec.train.words, "reads the words of an input as well as its vector");
    file.key("balance", spec.train.balance, "rare labels weigh as much as frequent ones");

    if spec.kind == TaskKind::ShortAnswer {
        file.section("adapter", "how an adapter is made of the labels");
        file.maybe("base", spec.adapter.base.as_deref().map(text), "the model that is adapted");
        file.key("minutes", spec.adapter.minutes, "the most processor minutes of one training");
        file.key("hold_out", spec.adapter.hold_out, "of the labels, for the certificate");
    }

    let needs = &spec.certificate;
    file.section("certificate", "what a local model must prove before it serves");
    file.key("level", needs.level, "the most disagreement with the reference among its answers");
    file.key("confidence", needs.confidence, "how sure that must be");
    file.key(
        "coverage_min",
        needs.coverage_min,
        "the least share of requests that it must be able to answer",
    );
    file.key("valid_days", days(needs.valid), "");

    file.section("canary", "how a new version starts");
    file.key("share", spec.canary.share, "of the task's requests");
    file.key("answers", spec.canary.answers, "until it has answered so many");

    file.section("audit", "how a serving version is watched");
    file.key("share", spec.audit.share, "of its answers that the reference is asked for, too");
    file.key("usd_per_day", spec.audit.usd_per_day, "the most that this may cost");
    file.maybe("model", spec.audit.model.as_deref().map(text), "who is asked");
    file.0
}

struct File(String);

impl File {
    fn section(&mut self, name: &str, about: &str) {
        let _ = writeln!(self.0, "\n[{name}]  # {about}");
    }

    fn key(&mut self, key: &str, value: impl fmt::Display, about: &str) {
        let line = format!("{key} = {value}");
        let _ = match about {
            "" => writeln!(self.0, "{line}"),
            about => writeln!(self.0, "{line:COMMENT_COLUMN$}  # {about}"),
        };
    }

    fn maybe(&mut self, key: &str, value: Option<Value>, about: &str) {
        match value {
            Some(value) => self.key(key, value, about),
            None => _ = writeln!(self.0, "# {key} =    {about}"),
        }
    }
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn texts(texts: &[String]) -> Value {
    Value::Array(texts.iter().map(|one| text(one)).collect())
}

fn template(template: &Template) -> Value {
    text(&template.to_string())
}

fn days(time: Duration) -> u64 {
    time.as_secs() / DAY.as_secs()
}
