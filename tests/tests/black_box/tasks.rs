//! Closed tasks, from no labels to a local model that serves, and back.

use serde_json::{Value, json};
use tests::{Answer, Gateway, Provider, Request, Setup, eventually, run};

use crate::house::in_process;

const SYSTEM: &str = "You tell the mood of a message. Answer with one word.";

/// A policy that sends what a task's certificate covers to it, and the rest to the model behind the provider.
const POLICY: &str = r#"
default = "auto"
[policy.auto]
quality_floor = 0.5
reference_model = "scripted"
targets.local = ["task"]
targets.retrieval = ["extractive"]
targets.external = ["scripted"]
escalate.local = ["external"]
cache = { read = false, write = false }
when_unavailable.local = "external"
[[policy.auto.question]]
id = "covered"
ask = "Does a task's certificate cover it?"
when = 'task != "" && task_accepted >= 0.5'
yes = "local"
no = "external"
"#;

/// The declaration of the task `mood`, with `more`.
fn declared(more: &str) -> String {
    format!(
        "name = \"mood\"\n[recognize]\nsystem = {SYSTEM:?}\n[train]\nexamples_min = 80\n\
         [certificate]\nlevel = 0.1\n{more}"
    )
}

/// A gateway's files whose external models answer with the last word of the message, `scripted+contrary` with another.
fn scene(task: &str) -> (Provider, Setup) {
    let provider = Provider::answering(|body| {
        let messages = body["messages"].as_array()?;
        let said = messages.last()?["content"].as_str()?;
        let mood = said.rsplit(' ').next()?;
        Some(if body["model"] == "scripted+contrary" { "furious" } else { mood }.to_owned())
    });
    let setup = Setup::new(&provider, &["scripted", "scripted+contrary"])
        .with_env("TEST_UPSTREAM_KEY", "k")
        .with_file("policy.toml", POLICY)
        .with_file("tasks/mood.toml", task);
    (provider, setup)
}

/// Messages of two moods, the mood as the last word; `turn` makes others.
fn messages(turn: usize) -> Vec<(String, &'static str)> {
    let things = ["day", "trip", "meal", "letter", "song", "room", "game", "film", "walk", "gift"];
    let glad = ["What a wonderful", "I love this happy", "Such joy, a lovely", "I am delighted by this"];
    let sad = ["What a terrible", "I hate this sad", "Such misery, an awful", "I am in tears over this"];
    let mut all = Vec::new();
    for thing in things {
        for (mood, openings) in [("glad", glad), ("sad", sad)] {
            all.extend(openings.map(|opening| (format!("{opening} {thing} number {turn}, {mood}"), mood)));
        }
    }
    all
}

fn body(text: &str) -> Value {
    json!({"model": "auto", "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]})
}

fn tell(gateway: &Gateway, text: &str) -> Answer {
    gateway.chat(&body(text)).expect(200)
}

fn task(gateway: &Gateway) -> Value {
    let told = gateway.admin("/api/tasks").expect(200).json();
    told["tasks"].as_array().unwrap().iter().find(|task| task["name"] == "mood").unwrap().clone()
}

fn events(gateway: &Gateway) -> Vec<String> {
    let task = task(gateway);
    task["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["what"].as_str().unwrap().to_owned())
        .collect()
}

/// Sends messages until a version serves.
fn grow(gateway: &Gateway) {
    for (text, _) in messages(1) {
        tell(gateway, &text);
    }
    eventually("a version serves", || !task(gateway)["serving"].is_null());
}

/// A task that trusts its model without asking it twice, audits everything, and takes a new version at once.
const PLAIN: &str = "[reference]\nself_agreement_min = 0.0\n[canary]\nshare = 0.0\n";

#[test]
fn a_task_goes_from_no_labels_to_a_model_that_serves_by_itself() {
    let (provider, setup) = scene(&declared(PLAIN));
    let gateway = Gateway::start(&setup);
    let first = tell(&gateway, "What a wonderful start, glad");
    assert_eq!((first.content().as_str(), first.header("x-pointsman-track")), ("glad", "external"));
    grow(&gateway);
    let served = tell(&gateway, "What a wonderful gift number 2, glad");
    assert_eq!((served.content().as_str(), served.header("x-pointsman-track")), ("glad", "local"));
    assert_eq!(served.header("x-pointsman-model"), "task/mood");
    let certificate = &task(&gateway)["serving"]["certificate"];
    assert_eq!(certificate["level"], 0.1);
    assert!(certificate["coverage"].as_f64().unwrap() > 0.5, "{certificate}");
    assert!(certificate["slices"].as_array().unwrap().iter().any(|slice| slice["name"] == "noise clean"));
    // What is like none of its examples goes on to the large model.
    let before = provider.attempts("scripted").len();
    let foreign = tell(&gateway, "Quarterly revenue fell by 3.2 % against the plan; see sheet 4 sad");
    assert_eq!(foreign.header("x-pointsman-track"), "external");
    assert_eq!(provider.attempts("scripted").len(), before + 1);
    // The same by name and in the forms that a client may ask for.
    for (more, expected) in [
        (json!({"response_format": {"type": "json_object"}}), "{\"label\":\"sad\"}"),
        (json!({"stream": true}), "sad"),
    ] {
        let mut asked = body("I hate this sad letter number 2, sad");
        asked["model"] = json!("task/mood");
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let content = if asked["stream"] == true {
            let request = Request::post("/v1/chat/completions", &asked);
            crate::streams::text(request.open(gateway.data).events()).0
        } else {
            gateway.chat(&asked).expect(200).content()
        };
        assert_eq!(content, expected);
    }
    assert_eq!(gateway.metric("pointsman_task_serving{task=\"mood\"}"), 1.0);
    assert!(gateway.metric("pointsman_task_answers_total{task=\"mood\",result=\"accepted\"}") >= 1.0);
    let shown = run(&setup, &["task", "show", "mood"]);
    assert!(shown.stdout.contains("certificate: at most 10.0 % disagreement"), "{}", shown.stdout);
    let listed = run(&setup, &["task", "list"]);
    assert!(listed.stdout.contains("task/mood"), "{}", listed.stdout);
}

#[test]
fn a_private_request_leaves_no_label() {
    let (_provider, setup) = scene(&declared(PLAIN));
    let gateway = Gateway::start(&setup);
    let private = Request::post("/v1/chat/completions", &body("What a secret, glad"));
    private.header("x-pointsman-privacy", "local").send(gateway.data);
    tell(&gateway, "What an open day, glad");
    eventually("a label is kept", || task(&gateway)["labels"]["total"] == 1);
    let kept = run(&setup, &["task", "export", "mood"]).stdout;
    assert!(kept.contains("open day") && !kept.contains("secret"), "{kept}");
    assert!(kept.contains("\"model\":\"scripted\"") && kept.contains("\"tenant\":\"default\""), "{kept}");
}

#[test]
fn a_task_is_only_for_its_tenants() {
    let (_provider, setup) = scene(&format!("tenants = [\"a\"]\n{}", declared(PLAIN)));
    let setup = setup.with(
        "gateway.toml",
        "[[tenant]]\nname = \"a\"\nkey = \"key-a\"\n[[tenant]]\nname = \"b\"\nkey = \"key-b\"\n",
    );
    let gateway = Gateway::start(&setup);
    let ask = |key: &str, text: &str, header: bool| {
        let request = Request::post("/v1/chat/completions", &body(text));
        let request = request.header("authorization", &format!("Bearer {key}"));
        let request = if header { request.header("x-pointsman-task", "mood") } else { request };
        request.send(gateway.data)
    };
    ask("key-b", "Not for this task, glad", false).expect(200);
    let refused = ask("key-b", "Not for this task, glad", true).expect(404);
    assert_eq!(refused.json()["error"]["param"], "x-pointsman-task");
    ask("key-a", "What an open day, glad", true).expect(200);
    eventually("a label is kept", || task(&gateway)["labels"]["total"] == 1);
    assert!(!run(&setup, &["task", "export", "mood"]).stdout.contains("Not for this task"));
}

#[test]
fn a_persons_word_outranks_a_models_and_what_is_erased_is_gone() {
    let (_provider, setup) = scene(&declared(PLAIN));
    let gateway = Gateway::start(&setup);
    let answer = tell(&gateway, "The kettle sings, sad");
    let judged = json!({"id": answer.header("x-pointsman-decision"), "label": "glad"});
    let told = Request::post("/v1/feedback", &judged).send(gateway.data).expect(200).json();
    assert_eq!(told["score"], 0.0);
    let export = || run(&setup, &["task", "export", "mood"]).stdout;
    eventually("the person's label is kept", || export().contains("\"by\":\"human\""));
    // The model says the same again; the person's word stays.
    tell(&gateway, "The kettle sings, sad");
    tell(&gateway, "Another line, glad");
    eventually("the next label is kept", || export().contains("Another line"));
    assert!(export().contains("\"label\":\"glad\",\"by\":\"human\""), "{}", export());
    let by_hand = run(&setup, &["task", "label", "mood", "--text", "By hand", "--label", "sad"]);
    assert_eq!(by_hand.code, Some(0), "{}", by_hand.stderr);
    let nothing_said = run(&setup, &["task", "erase", "mood"]);
    assert_eq!(nothing_said.code, Some(64));
    let erased = run(&setup, &["task", "erase", "mood", "--text", "kettle"]);
    assert!(erased.stdout.starts_with("1 labels erased, 2 left"), "{}", erased.stdout);
    tell(&gateway, "After the erasure, glad");
    eventually("labels go on", || export().contains("After the erasure"));
    assert!(!export().contains("kettle"), "{}", export());
}

#[test]
fn a_model_is_asked_twice_before_its_labels_count() {
    let (provider, setup) = scene(&declared("[canary]\nshare = 0.0\n"));
    let gateway = Gateway::start(&setup);
    tell(&gateway, "What a first day, glad");
    eventually("a label is kept", || task(&gateway)["labels"]["total"] == 1);
    assert_eq!(
        task(&gateway)["labels"]["usable"],
        0,
        "nothing is learnt from a model that was not asked twice"
    );
    // Which answers are asked for again is left to chance.
    let mut sent = 0;
    eventually("the model was asked again", || {
        sent += 1;
        tell(&gateway, &messages(sent / 80)[sent % 80].0);
        task(&gateway)["annotators"]["scripted"]["asked"].as_u64() >= Some(15)
    });
    assert!(provider.attempts("scripted").len() > sent + 15);
    eventually("its labels count", || {
        let labels = &task(&gateway)["labels"];
        labels["usable"] == labels["total"]
    });
}

#[test]
fn disagreement_with_the_reference_takes_a_model_out_of_service() {
    let audit = "[audit]\nshare = 1.0\nusd_per_day = 5.0\nmodel = \"scripted+contrary\"\n";
    let (_provider, setup) = scene(&declared(&format!("{PLAIN}{audit}")));
    let gateway = Gateway::start(&setup);
    grow(&gateway);
    let mut sent = 0;
    eventually("it is taken out of service", || {
        sent += 1;
        tell(&gateway, &messages(2)[sent % 80].0);
        !task(&gateway)["demoted"].is_null()
    });
    let task = task(&gateway);
    assert!(task["serving"].is_null(), "{task}");
    let why = task["demoted"]["why"].as_str().unwrap();
    assert!(why.contains("audited answers disagree with the reference"), "{why}");
    assert!(events(&gateway).contains(&"demoted".to_owned()));
    let next = tell(&gateway, "What a wonderful game, glad");
    assert_eq!(next.header("x-pointsman-track"), "external");
    // The operator may bring it back.
    let promoted = run(&setup, &["task", "promote", "mood", "1"]);
    assert_eq!(promoted.code, Some(0), "{}", promoted.stderr);
    eventually("it serves again", || !crate::tasks::task(&gateway)["serving"].is_null());
}

#[test]
fn versions_can_be_rolled_back() {
    let (_provider, setup) = scene(&declared(PLAIN));
    let lines: String = messages(1)
        .iter()
        .map(|(text, mood)| json!({"text": text, "label": mood}).to_string() + "\n")
        .collect();
    let setup = setup.with_file("mood.jsonl", &lines);
    let data = setup.path("mood.jsonl").display().to_string();
    let first = run(&setup, &["task", "train", "mood", "--data", &data]);
    assert!(
        first.stdout.contains("task/mood version 1: 80 examples, 2 labels"),
        "{}{}",
        first.stdout,
        first.stderr
    );
    assert_eq!(run(&setup, &["task", "rollback", "mood"]).code, Some(64));
    assert_eq!(run(&setup, &["task", "train", "mood"]).code, Some(0));
    let gateway = Gateway::start(&setup);
    assert_eq!(task(&gateway)["serving"]["version"], 2);
    let back = run(&setup, &["task", "rollback", "mood"]);
    assert!(back.stdout.contains("version 1 again"), "{}{}", back.stdout, back.stderr);
    eventually("the gateway takes it up", || task(&gateway)["serving"]["version"] == 1);
    let asked = run(&setup, &["task", "ask", "mood", "What a wonderful letter"]);
    assert!(asked.stdout.starts_with("\"glad\"") && asked.stdout.contains("(version 1)"), "{}", asked.stdout);
}

#[test]
fn the_nearest_examples_go_into_a_large_models_prompt() {
    let few = "[few]\nenabled = true\nexamples = 4\nwithout_share = 0.0\n";
    let (provider, setup) = scene(&declared(&format!("{PLAIN}{few}")));
    let gateway = Gateway::start(&setup);
    for (text, _) in messages(1).iter().take(40) {
        tell(&gateway, text);
    }
    eventually("they are labels", || task(&gateway)["labels"]["total"] == 40);
    tell(&gateway, "What a wonderful tale, glad");
    let body = provider.last("scripted").body;
    let turns = body["messages"].as_array().unwrap();
    assert_eq!(turns.len(), 2 + 8, "{body}");
    assert_eq!(turns[9]["content"], "What a wonderful tale, glad");
    let labels: Vec<&str> = turns[1..9]
        .iter()
        .filter(|turn| turn["role"] == "assistant")
        .map(|turn| turn["content"].as_str().unwrap())
        .collect();
    assert_eq!(labels.iter().filter(|label| **label == "glad").count(), 2, "balanced: {labels:?}");
    eventually("the effect is told", || task(&gateway)["few"]["with"]["answers"].as_u64() >= Some(1));
}

#[test]
fn prompts_that_look_like_a_task_are_proposed_and_can_be_adopted() {
    let (_provider, setup) = scene("name = \"other\"\n[recognize]\nsystem = \"Something else altogether\"\n");
    let gateway = Gateway::start(&setup);
    for (text, _) in messages(1) {
        tell(&gateway, &text);
    }
    let proposals = || gateway.admin("/api/tasks").expect(200).json()["proposals"].clone();
    eventually("a task is proposed", || !proposals().as_array().unwrap().is_empty());
    let proposal = proposals()[0].clone();
    assert_eq!(proposal["system"], SYSTEM, "{proposal}");
    assert_eq!(proposal["labels"].as_array().map(Vec::len), Some(2), "{proposal}");
    eventually("it is on disk", || setup.path("var/tasks/discovery.json").exists());
    let id = proposal["id"].as_str().unwrap();
    let adopted = run(&setup, &["task", "adopt", id, "--as", "feelings"]);
    assert_eq!(adopted.code, Some(0), "{}", adopted.stderr);
    eventually("the gateway knows it", || {
        let told = gateway.admin("/api/tasks").expect(200).json();
        told["tasks"].as_array().unwrap().iter().any(|task| task["name"] == "feelings")
    });
    assert!(proposals().as_array().unwrap().is_empty());
    tell(&gateway, "What a wonderful thing number 1, glad");
    eventually("its answers are labels", || {
        run(&setup, &["task", "export", "feelings"]).stdout.contains("thing")
    });
}

#[test]
fn a_wrong_declaration_is_told_and_the_old_one_goes_on() {
    let (_provider, setup) = scene(&declared(PLAIN));
    let gateway = Gateway::start(&setup);
    setup.write("tasks/mood.toml", "name = \"mood\"\nkind = \"poem\"\n[audit]\nshare = 7\n");
    let checked = run(&setup, &["check", "--files-only"]);
    assert_eq!(checked.code, Some(64));
    for part in ["mood.toml:2: kind", "mood.toml:4: audit.share"] {
        assert!(checked.stderr.contains(part), "{part}: {}", checked.stderr);
    }
    gateway.wait_for_log("configuration refused");
    tell(&gateway, "What a day, glad");
    eventually("the old declaration goes on", || task(&gateway)["labels"]["total"] == 1);
}

#[test]
fn a_small_model_continues_examples_and_says_only_what_the_task_allows() {
    let few = "labels = [\"glad\", \"sad\"]\n[recognize]\nsystem = \"You tell the mood of a message. Answer with one word.\"\n\
               [few]\nenabled = true\nexamples = 6\n[train]\nauto = false\n";
    let (provider, setup) = scene(few);
    let setup = setup
        .with("models.toml", &in_process(0.9))
        .with_changed("policy.toml", "targets.local = [\"task\"]", "targets.local = [\"task\", \"small\"]")
        .with_changed(
            "policy.toml",
            "when = 'task != \"\" && task_accepted >= 0.5'",
            "when = 'task != \"\"'",
        );
    for (text, mood) in messages(1).into_iter().step_by(5) {
        let labelled = run(&setup, &["task", "label", "mood", "--text", &text, "--label", mood]);
        assert_eq!(labelled.code, Some(0), "{}", labelled.stderr);
    }
    let lines = messages(1).iter().step_by(7).fold(String::new(), |lines, (text, mood)| {
        lines + &json!({"text": text, "label": mood}).to_string() + "\n"
    });
    setup.write("mood.jsonl", &lines);
    let data = setup.path("mood.jsonl").display().to_string();
    // Encodes what was labelled by hand, too; so few examples certify nothing.
    let trained = run(&setup, &["task", "train", "mood", "--data", &data]);
    assert!(trained.stdout.contains("certificate: none"), "{}{}", trained.stdout, trained.stderr);
    let gateway = Gateway::start(&setup);
    let answer = tell(&gateway, "Such misery, an awful trip number 1, sad");
    assert_eq!(answer.header("x-pointsman-model"), "small", "{}", answer.text());
    assert_eq!(answer.content(), "sad");
    assert!(provider.attempts("scripted").is_empty());
}
