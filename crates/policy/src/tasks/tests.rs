//! Wrong task files as a table, the shipped one, what is written and read again, and which requests belong to a task.

use proptest::prelude::*;

use super::*;

const MODELS: &str = "[provider.p]\nbase_url = \"https://a/v1\"\n\
    [[model]]\nname = \"big\"\nkind = \"provider\"\nprovider = \"p\"\ncontext_tokens = 9000\n\
    quality = { default = 0.9 }\nprices = { input = 1, output = 2 }\n[[alias]]\nname = \"gpt\"\nmodel = \"big\"\n";

fn parse(files: &[(&str, &str)]) -> Result<TaskSpecs, Mistakes> {
    let catalogue = Catalogue::parse("models.toml", MODELS, &|_| None).unwrap();
    let files: Vec<(String, String)> =
        files.iter().map(|(label, text)| ((*label).to_owned(), (*text).to_owned())).collect();
    TaskSpecs::parse(&files, &catalogue)
}

fn one(text: &str) -> TaskSpec {
    let specs = parse(&[("tasks/t.toml", text)]).unwrap();
    specs.iter().next().unwrap().clone()
}

fn check(files: &[(&str, &str)], expected: &str) {
    let got = parse(files).err().map(|mistakes| mistakes.to_string()).unwrap_or_default();
    assert!(
        if expected.is_empty() { got.is_empty() } else { got.contains(expected) },
        "{files:?}\n---\n{got}"
    );
}

#[test]
fn wrong_files_are_told_with_line_and_key() {
    for (text, expected) in [
        ("", ""),
        (
            "name = \"a b\"",
            "tasks/t.toml:1: name: `a b` is no name: a task's name is made of 1 to 64 letters",
        ),
        ("kind = \"clasification\"", "kind: `clasification` is not known; did you mean `classification`?"),
        ("labels = [\"a\"]", "t.toml:1: labels: a set has 2 to 1000 labels; without any they are learnt"),
        ("labels = [\"a\", \"b\",\n\"A\"]", "t.toml:2: labels[2]: the label `A` is given twice"),
        (
            "kind = \"regression\"",
            "t.toml:1: scale: a regression needs its scale: the table [scale] with min and max",
        ),
        ("kind = \"regression\"\n[scale]\nmin = 0", "t.toml:2: scale.max: this key is missing"),
        (
            "kind = \"regression\"\n[scale]\nmin = 5\nmax = 1",
            "t.toml:4: scale.max: the greatest answer must be above",
        ),
        (
            "kind = \"regression\"\nlabels = [\"a\", \"b\"]\n[scale]\nmin = 0\nmax = 1",
            "labels: a task of the kind `regr",
        ),
        (
            "[scale]\nmin = 0\nmax = 1",
            "scale: a task of the kind `classification` has no scale; allowed for: regression",
        ),
        (
            "[recognize]\nuser = \"Message: {input\"",
            "t.toml:2: recognize.user: line 1, column 10: `{` stands alone",
        ),
        ("[recognize]\nuser = \"Go on, please.\"", "recognize.user: this template has no `{input}`"),
        (
            "[recognize]\nsystem = \"Label: {input} !\"\nuser = \"Go on, please.\"",
            "recognize.system: a template needs",
        ),
        ("[recognize]\nsystem = \"Label this: {input}\"\nuser = \"Go on, please.\"", ""),
        (
            "[recognize]\nsystem = \"Label this: {input}\"\nuser = \"{input}\"",
            "t.toml:3: recognize.user: both templates have an `{input}`",
        ),
        (
            "[recognize]\nlabel = true",
            "recognize.label: this key is unknown; did you mean `labels`?; allowed: system",
        ),
        (
            "[reference]\nmodels = [\"big\", \"bigg\"]",
            "t.toml:2: reference.models[1]: there is no model `bigg`; did you",
        ),
        ("[reference]\nmodels = [\"big\", \"gpt\"]", "reference.models[1]: `gpt` is in this list twice"),
        ("[reference]\nmodels = [\"task/t\"]", "reference.models[0]: `task/t` is a trained task"),
        ("[reference]\nmodels = [\"extractive\"]", "reference.models[0]: `extractive` quotes passages"),
        (
            "[reference]\nself_agreement_share = 0",
            "reference.self_agreement_share: where nothing is asked twice",
        ),
        ("[reference]\nself_agreement_share = 0\nself_agreement_min = 0", ""),
        (
            "[reference]\nself_agreement_min = 2",
            "self_agreement_min: this number is out of range; allowed: a number from 0 to 1",
        ),
        (
            "[capture]\nkeep_days = 0",
            "capture.keep_days: 0 is out of range; allowed: a whole number from 1 to 3650",
        ),
        ("[train]\nexamples_min = 5", "train.examples_min: 5 is out of range"),
        (
            "[train]\nexamples_min = 500\n[capture]\nexamples_max = 100",
            "t.toml:2: train.examples_min: 500 examples are never there: capture.examples_max is 100",
        ),
        (
            "[certificate]\nlevel = 0",
            "certificate.level: this number is out of range; allowed: a number from 0.001 to 0.5",
        ),
        ("[adapter]\nminutes = 3", "t.toml:1: adapter: a task of the kind `classification` has no adapter"),
        (
            "kind = \"short_answer\"\n[adapter]\nbase = \"big\"",
            "adapter.base: `big` does not run in this process",
        ),
        ("kind = \"short_answer\"\nlabels = [\"a\", \"b\"]\n[adapter]\nhold_out = 0.2", ""),
        ("[canary]\nshare = \"a\"", "canary.share: this must be a number from 0 to 1, not a text"),
        ("[audit]\nmodel = \"smal\"", "t.toml:2: audit.model: there is no model `smal`; allowed: big, gpt"),
        ("auto_adopt = true", "auto_adopt: this key is unknown"),
        ("name = ", "t.toml:1: this is not valid TOML"),
    ] {
        check(&[("tasks/t.toml", text)], expected);
    }
}

#[test]
fn files_are_compared_with_each_other() {
    let template = "[recognize]\nsystem = \"You label intents.\"\n";
    check(
        &[("a.toml", ""), ("b.toml", "name = \"a\"")],
        "b.toml:1: name: the task `a` is declared in another file",
    );
    check(
        &[("a.toml", template), ("b.toml", template)],
        "b.toml:1: recognize: the task `a` has the same templates",
    );
    let only = |tenant: &str| format!("tenants = [\"{tenant}\"]\n{template}");
    check(&[("a.toml", &only("x")), ("b.toml", &only("y"))], "");
    check(&[("a.toml", &only("x")), ("b.toml", &only("x"))], "the same templates for the same tenants");
    check(&[("a.toml", ""), ("b.toml", "")], "");
    let told = parse(&[("b.toml", "x = 1\ny = 1"), ("a.toml", "z = 1")]).unwrap_err().to_string();
    let places: Vec<&str> = told.lines().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(places, ["b.toml:1", "b.toml:2", "a.toml:1"]);
    // The one that says more about its requests is asked first.
    let specs = parse(&[("a.toml", ""), ("c.toml", template), ("b.toml", "")]).unwrap();
    assert_eq!(specs.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>(), ["c", "a", "b"]);
    assert!(specs.get("b").is_some() && specs.get("d").is_none());
}

#[test]
fn an_empty_file_is_a_task_with_all_defaults() {
    assert_eq!(one(""), TaskSpec::named("t"));
    let scored = one("kind = \"regression\"\n[scale]\nmin = 1\nmax = 5");
    assert_eq!((scored.scale, scored.tolerance), (Some((1.0, 5.0)), 0.4));
    assert_eq!(
        one("[reference]\nmodels = [\"gpt\"]\n[audit]\nmodel = \"gpt\"").audit.model.as_deref(),
        Some("big")
    );
}

#[test]
fn the_shipped_task_fits_the_shipped_models() {
    let models = include_str!("../../../../config/models.toml");
    let catalogue = Catalogue::parse("config/models.toml", models, &|_| None).unwrap();
    let text = include_str!("../../../../config/tasks/sentiment.toml");
    let label = "config/tasks/sentiment.toml";
    let read = |text: String| {
        TaskSpecs::parse(&[(label.to_owned(), text)], &catalogue).map_err(|told| told.to_string())
    };
    let specs = read(text.to_owned()).unwrap();
    let spec = specs.get("sentiment").unwrap();
    let prompt = "Is the sentiment of the text below positive or negative? Answer with one word.\n\nText: so good!\nSentiment:";
    assert_eq!(spec.input("", prompt), Some("so good!"));
    assert_eq!(spec.input("", "Is the sentiment of the text below positive or negative?"), None);
    // What it shows as left out is right, and is the default, wherever the example does not say otherwise.
    let keys = [
        "tenants", "models", "self_", "enabled", "keep_", "examples", "tokens_", "without_", "auto", "grow_",
    ];
    let more = ["words", "balance", "level", "confidence", "coverage_", "valid_", "share", "answers", "usd_"];
    let shown = |line: &str| {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let key = keys.iter().chain(&more).any(|key| bare.starts_with(key)) && bare.contains(" = ");
        if key { bare.to_owned() } else { line.to_owned() }
    };
    let whole: Vec<String> = text.lines().map(shown).collect();
    assert_eq!(whole.iter().zip(text.lines()).filter(|(shown, line)| shown != line).count(), 24);
    assert_eq!(read(whole.join("\n")).unwrap(), specs);
}

fn check_input(file: &str, system: &str, user: &str, expected: Option<&str>) {
    assert_eq!(one(file).input(system, user), expected, "{file}: {system:?}, {user:?}");
}

#[test]
fn the_input_of_a_request_is_found() {
    let system = "[recognize]\nsystem = \"You label intents. It is {day}.\"";
    check_input(system, "You label intents. It is May 1.", " hi ", Some("hi"));
    check_input(system, "You label moods. It is May 1.", "hi", None);
    check_input(system, "", "hi", None);
    let user = "[recognize]\nuser = \"Message: {input}\\nLabel:\"";
    check_input(user, "anything", "Message: hi\nLabel:", Some("hi"));
    check_input(user, "", "hi", None);
    let both = "[recognize]\nsystem = \"You label: {input}\"\nuser = \"Go on, please.\"";
    check_input(both, "You label: hi", "Go on, please.", Some("hi"));
    check_input(both, "You label: hi", "Go on.", None);
    check_input("", "anything", "hi", Some("hi"));
    assert!(one(user).has_template() && !one("").has_template());
    let spec = one("tenants = [\"x\"]");
    assert!(spec.is_for("x") && !spec.is_for("y") && one("").is_for("y"));
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        texts in proptest::collection::vec("\\PC{1,20}", 4), kind in 0..4_usize, flags in any::<u32>(),
        small in 0.0..1.0_f32, level in 0.001..0.5_f64, days in 1..3650_u32, count in 100..20_000_usize,
    ) {
        let flag = |bit: u32| flags >> bit & 1 == 1;
        let mut spec = TaskSpec::named("a-b_9");
        spec.kind = TaskKind::ALL[kind].1;
        if spec.kind.has_labels() && flag(0) {
            spec.labels = vec![format!("a{}", texts[0].trim()), format!("b \"{}", texts[1].trim())];
        }
        if spec.kind == TaskKind::Regression {
            spec.scale = Some((-small, small * 1e6 + 1.0));
            spec.tolerance = small / 7.0;
        }
        if flag(1) {
            spec.tenants = vec![format!("x{}", texts[2])];
        }
        let fixed = |text: &str| text.replace('{', "{{").replace('}', "}}");
        if flag(2) {
            spec.recognize.user = Template::parse(&format!("Message\n'''\"\"\"{}: {{input}}\n", fixed(&texts[3]))).ok();
        }
        if flag(3) {
            spec.recognize.system = Template::parse(&format!("{}You label intents {{day}}", fixed(&texts[2]))).ok();
        }
        spec.recognize.labels = flag(4);
        if spec.kind == TaskKind::ShortAnswer {
            (spec.adapter.minutes, spec.adapter.hold_out) = (u64::from(days % 1440) + 1, 0.1 + small / 2.0);
        }
        spec.reference.models = if flag(5) { vec!["big".to_owned()] } else { Vec::new() };
        spec.reference.self_agreement_min = small;
        spec.audit.model = flag(6).then(|| "big".to_owned());
        spec.audit.usd_per_day = Money::from_nanos(i64::from(flags));
        (spec.capture.enabled, spec.few.enabled, spec.train.auto) = (flag(7), flag(8), flag(9));
        (spec.train.words, spec.train.balance) = (flag(10), flag(11));
        (spec.capture.keep, spec.certificate.valid) = (days * DAY, DAY);
        (spec.capture.examples_max, spec.train.examples_min) = (count, count / 5);
        (spec.certificate.level, spec.certificate.coverage_min) = (level, level);
        (spec.few.without_share, spec.canary.share, spec.audit.share) = (small, small, small);
        prop_assert_eq!(one(&spec.to_toml()), spec);
    }
}
