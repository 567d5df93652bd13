//! `cargo bench -p tests --bench journey -- --data FILE --out FOLDER`: a closed task from zero labels to a certified local
//! model, and through a change of its traffic, through the real port of the built gateway.
//!
//! The large model is the tests' provider, which answers with the true labels plus 3 % noise. Requests go one after the
//! other, and every 25 of them the journey waits until what the gateway does aside (taking labels, training, auditing) has
//! come to rest. A seed fixes the requests and the answers; which answers are audited or asked for twice is drawn by the
//! gateway, so that two journeys of one seed are alike and not equal. FOLDER gets the tables, every request, and a plot.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement that cannot go on has nothing to tell, and one that can prints it"
)]

mod account;
mod plot;
mod traffic;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{Gateway, Provider, Setup};

use account::{Happened, Served, Sums, shown};
use traffic::{Annotator, Traffic};

/// Requests between two rests.
const STEP: usize = 25;
/// Rows of the tables.
const STRETCH: usize = 500;
const STRETCH_UNSEEN: usize = 250;
/// A training that takes longer is none.
const REST_MAX: Duration = Duration::from_secs(600);
/// The gateway is at rest when it looks the same so many times in a row.
const LOOKS: usize = 3;
const LOOK_EVERY: Duration = Duration::from_millis(20);

const SYSTEM: &str = "You label the intent of a bank customer's message. Answer with one label.";
const MODEL: &str = "scripted";

const POLICY: &str = r#"
default = "auto"

[policy.auto]
reference_model = "scripted"
targets.local = ["task"]
targets.external = ["scripted"]
escalate.local = ["external"]
when_unavailable.local = "external"
# Every request is to be answered, not remembered.
cache = { read = false, write = false }

[[policy.auto.question]]
id = "certified"
ask = "Does the task's model answer this within its certificate?"
when = 'task != "" && task_accepted >= 0.5'
yes = "local"
no = "external"
"#;

/// What is measured, from the command line.
struct Options {
    data: PathBuf,
    out: PathBuf,
    requests: usize,
    change_at: usize,
    seed: u64,
    /// More lines of the task's declaration.
    task: String,
}

fn main() {
    let Some(options) = options() else {
        println!(
            "The journey is measured on data that is not in this repository:\n  cargo bench -p tests --bench journey -- \
             --data train.jsonl --out FOLDER [--requests 12000] [--seed 1] [--task MORE.toml]"
        );
        return;
    };
    let examples = traffic::read(&options.data);
    let traffic = Traffic::new(&examples, options.requests, options.change_at, options.seed);
    let annotator = Annotator::new(&examples, options.seed);
    let provider = Provider::answering(move |body| annotator.answer(body));
    let task = format!(
        "name = \"journey\"\n[recognize]\nsystem = {SYSTEM:?}\n[reference]\nmodels = [{MODEL:?}]\n{}",
        options.task
    );
    let setup = Setup::new(&provider, &[MODEL])
        .with_env("TEST_UPSTREAM_KEY", "k")
        .with_file("policy.toml", POLICY)
        .with_file("tasks/journey.toml", &task);
    let gateway = Gateway::start(&setup);
    let started = Instant::now();
    let mut journey =
        Journey { gateway, provider, served: Vec::new(), happened: Vec::new(), told: Value::Null };
    for (number, asked) in traffic.requests.iter().enumerate() {
        journey.ask(asked.clone());
        if (number + 1) % STEP == 0 || number + 1 == traffic.requests.len() {
            journey.rest();
        }
    }
    let report = report(&journey, &traffic, &options, started.elapsed());
    println!("{report}");
    fs::create_dir_all(&options.out).expect("the folder of --out");
    let write = |name: &str, bytes: &[u8]| fs::write(options.out.join(name), bytes).expect("a file of --out");
    write("journey.txt", report.as_bytes());
    write("journey.csv", account::csv(&journey.served).as_bytes());
    write("journey.png", &plot::journey(&journey.served, &journey.happened, options.change_at));
    journey.gateway.stop();
}

/// `None` where the data is not named.
fn options() -> Option<Options> {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let (mut data, mut out, mut requests, mut seed, mut task) = (None, None, 12_000, 1, String::new());
    while let Some(arg) = args.next() {
        let value = args.next().unwrap_or_else(|| panic!("{arg} needs a value"));
        let number = || value.parse::<u64>().unwrap_or_else(|error| panic!("{arg} {value}: {error}"));
        match arg.as_str() {
            "--data" => data = Some(PathBuf::from(value)),
            "--out" => out = Some(PathBuf::from(value)),
            "--requests" => requests = usize::try_from(number()).expect("a number of requests"),
            "--seed" => seed = number(),
            "--task" => task = fs::read_to_string(value).expect("the file of --task"),
            other => panic!("{other} is not known; allowed: --data, --out, --requests, --seed, --task"),
        }
    }
    let change_at = if requests > 8000 { 8000 } else { requests * 4 / 5 };
    Some(Options { data: data?, out: out?, requests, change_at, seed, task })
}

struct Journey {
    gateway: Gateway,
    provider: Provider,
    served: Vec<Served>,
    happened: Vec<Happened>,
    /// The task, as it was told at the last rest.
    told: Value,
}

impl Journey {
    fn ask(&mut self, asked: traffic::Asked) {
        let messages =
            json!([{"role": "system", "content": SYSTEM}, {"role": "user", "content": asked.text}]);
        let answer = self.gateway.chat(&json!({"model": "auto", "messages": messages})).expect(200);
        self.served.push(Served {
            local: answer.header("x-pointsman-track") == "local",
            right: answer.content() == asked.label,
            usd: answer.header("x-pointsman-cost-usd").parse().expect("a cost in the headers"),
            calls: self.provider.calls(),
            asked,
        });
    }

    /// Waits until nothing happens any more, and notes what happened.
    fn rest(&mut self) {
        let give_up = Instant::now() + REST_MAX;
        let mut same = 0;
        while same < LOOKS {
            assert!(Instant::now() < give_up, "the gateway does not come to rest: {}", self.told);
            let told = self.gateway.admin("/api/tasks").expect(200).json();
            let task = told["tasks"]
                .as_array()
                .and_then(|tasks| tasks.iter().find(|task| task["name"] == "journey"));
            let task = task.cloned().unwrap_or_else(|| panic!("the task is not there: {told}"));
            same = if task == self.told && task["training"] != true { same + 1 } else { 0 };
            self.told = task;
            std::thread::sleep(LOOK_EVERY);
        }
        let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let events = self.told["events"].as_array().cloned().unwrap_or_default();
        // Of the events that are told the first were noted before: the last ones noted are among them.
        let noted = |event: &Value| {
            let (what, why) = (text(event, "what"), text(event, "why"));
            self.happened.iter().any(|known| known.what == what && known.why == why)
        };
        let new = events.iter().rposition(noted).map_or(0, |last| last + 1);
        for event in &events[new..] {
            let happened =
                Happened { after: self.served.len(), what: text(event, "what"), why: text(event, "why") };
            println!("after {:>6}: {}: {}", happened.after, happened.what, happened.why);
            self.happened.push(happened);
        }
    }
}

fn report(journey: &Journey, traffic: &Traffic, options: &Options, took: Duration) -> String {
    let (served, happened) = (&journey.served, &journey.happened);
    let all = Sums::of(served.iter());
    let local = Sums::of(served.iter().filter(|served| served.local));
    let new = Sums::of(served.iter().filter(|served| served.local && served.asked.first));
    let external = Sums::of(served.iter().filter(|served| !served.local));
    let without = external.usd / external.count.max(1) as f64 * all.count as f64;
    let unseen: Vec<&Served> = served.iter().filter(|served| served.asked.unseen).collect();
    let wrong = unseen.iter().filter(|served| served.local && !served.right).count();
    let noticed = happened.iter().find(|event| event.after > options.change_at && event.what == "demoted");
    let mut text = format!(
        "{} requests, seed {}, {} intents, {} of them unseen until request {}; {:.0} s\n\n",
        all.count,
        options.seed,
        traffic.intents,
        traffic.intents - traffic.known,
        options.change_at,
        took.as_secs_f64()
    );
    text += &account::table(served, happened, STRETCH);
    text += "\nFrom the change on\n";
    text += &account::table_of_unseen(served, happened, options.change_at, STRETCH_UNSEEN);
    let _ = writeln!(
        text,
        "\nserved locally       {} of {} ({}), right {}; first-time messages {}\n\
         right in all         {}\n\
         cost                 {:.6} USD; {without:.6} USD if all had gone to the large model\n\
         calls                {} to the large model, audits and second opinions included\n\
         unseen intents       {} requests, {wrong} wrongly served locally ({})",
        local.count,
        all.count,
        shown(Some(local.count as f64 / all.count.max(1) as f64)),
        shown(local.agreement()),
        shown(new.agreement()),
        shown(all.agreement()),
        all.usd,
        served.last().map_or(0, |served| served.calls),
        unseen.len(),
        shown((!unseen.is_empty()).then(|| wrong as f64 / unseen.len() as f64)),
    );
    let _ = match noticed {
        Some(event) => writeln!(
            text,
            "noticed              {} requests after the change: {}",
            event.after - options.change_at,
            event.why
        ),
        None => writeln!(text, "noticed              no demotion after the change"),
    };
    text += "\nEvents\n";
    for Happened { after, what, why } in happened {
        let _ = writeln!(text, "{after:>8}  {what}: {why}");
    }
    text
}
