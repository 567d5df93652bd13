//! Every fault of the provider that misbehaves on purpose: what a client meets without a second target, and with one.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::{ANSWER, Gateway, OTHER, Provider, Request, Setup};

use super::heard::Heard;
use super::many::{check_none, complaints};
use super::rows::{Meets, ROWS, Row};

const DEADLINE: Duration = Duration::from_millis(6000);
/// Of the machine, which may be busy with other tests.
const SLACK: Duration = Duration::from_secs(3);
const AT_ONCE: usize = 48;
/// Attempts of one call at a target that may be tried again.
const TRIES_MAX: usize = 3;
const OUT_OF_TIME: Meets = Meets::Refused(504, "upstream_timeout");

/// How a client asks.
const ASKED: [(&str, bool); 4] = [
    ("/v1/chat/completions", false),
    ("/v1/chat/completions", true),
    ("/v1/messages", true),
    ("/v1/responses", true),
];

/// One call.
struct Call {
    row: &'static Row,
    /// `alone`, `pair`, `held`, `tried`: without a second target, with one, with one and `on_broken_stream = "hold"`, and
    /// with further tries at the first.
    place: &'static str,
    path: &'static str,
    stream: bool,
}

impl Call {
    fn model(&self) -> String {
        format!("{}+{}", self.row.fault, self.place)
    }

    fn expected(&self) -> Meets {
        let place = usize::from(self.stream);
        match self.place {
            "pair" => self.row.pair[place],
            "held" => self.row.held(),
            _ => self.row.alone[place],
        }
    }

    fn has_second(&self) -> bool {
        ["pair", "held"].contains(&self.place)
    }

    /// The targets that are asked.
    fn targets(&self) -> usize {
        if self.expected() == Meets::Second { 2 } else { 1 }
    }
}

fn calls() -> Vec<Call> {
    let mut calls = Vec::new();
    for row in ROWS {
        for place in ["alone", "pair"] {
            calls.extend(ASKED.map(|(path, stream)| Call { row, place, path, stream }));
        }
        calls.extend(ASKED[1..].iter().map(|(path, stream)| Call {
            row,
            place: "held",
            path,
            stream: *stream,
        }));
        calls.push(Call { row, place: "tried", path: ASKED[0].0, stream: false });
    }
    calls
}

/// A provider entry for each fault and place, so that no breaker opens: it takes five failures.
fn setup(provider: &Provider) -> Setup {
    let mut models = String::new();
    let mut policy = format!(
        "default = \"plain\"\n\n[policy.plain]\ntrack = \"external\"\nreference_model = \"ok\"\n\
         targets.external = [\"ok\"]\nwhen_unavailable.external = \"refuse\"\nquality_floor = 0.0\n\
         deadline_ms = {}\n\n",
        DEADLINE.as_millis()
    );
    let mut add = |name: &str, base_url: &str, retries: usize, context: u32| {
        models += &format!(
            "[provider.{name:?}]\nbase_url = {base_url:?}\napi_key = \"env:TEST_UPSTREAM_KEY\"\n\
             allow_private_addresses = true\nfirst_byte_timeout_ms = 2000\nidle_timeout_ms = 1500\n\
             retries_max = {retries}\n\n[[model]]\nname = {name:?}\nkind = \"provider\"\nprovider = {name:?}\n\
             prices = {{ input = 1.0, output = 2.0 }}\ncontext_tokens = {context}\noutput_tokens_max = 1000\n\
             quality = {{ default = 0.9 }}\n\n"
        );
    };
    let base_url = provider.base_url();
    add("ok", &base_url, 0, 100_000);
    for Row { fault, .. } in ROWS {
        // Nobody listens on the discard port.
        let own = if *fault == "unreachable" { "http://127.0.0.1:9/v1" } else { &base_url };
        for (place, retries) in [("alone", 0), ("pair", 0), ("held", 0), ("tried", TRIES_MAX - 1)] {
            add(&format!("{fault}+{place}"), own, retries, 100_000);
        }
        for (place, on_broken_stream) in [("pair", "tell"), ("held", "hold")] {
            let second = second(fault, place);
            add(&second, &base_url, 0, 200_000);
            policy += &format!(
                "[policy.\"{place}.{fault}\"]\nlike = \"plain\"\ntrack = \"external\"\n\
                 on_broken_stream = {on_broken_stream:?}\ntargets.external = [\"{fault}+{place}\", {second:?}]\n\n"
            );
        }
    }
    // A decision tells of every model, and here are hundreds.
    Setup::of(&models)
        .with("gateway.toml", "[decisions]\nbytes_max = 1073741824\n")
        .with_file("policy.toml", &policy)
        .with_env("TEST_UPSTREAM_KEY", "upstream-secret")
}

/// The healthy target beside a fault.
fn second(fault: &str, place: &str) -> String {
    format!("other+{fault}+{place}")
}

fn ask(gateway: &Gateway, call: &Call) -> Heard {
    let model = if call.has_second() { format!("{}.{}", call.place, call.row.fault) } else { call.model() };
    let words = "Where does the train go?";
    let body = match call.path {
        "/v1/responses" => json!({"model": model, "stream": call.stream, "input": words}),
        _ => json!({
            "model": model, "stream": call.stream, "max_tokens": 50,
            "messages": [{"role": "user", "content": words}],
        }),
    };
    let request = Request::post(call.path, &body).header("cache-control", "no-store");
    Heard::read(request.open(gateway.data))
}

/// Whether that is what came, all of it and nothing else.
fn came(expected: Meets, call: &Call, heard: &Heard) -> bool {
    let whole = |answer: &str| heard.whole && heard.error.is_none() && heard.text == answer;
    // Messages and Responses have their own names for errors: there, only that it is one.
    let told = |code: &str| {
        let error = heard.error.as_deref().filter(|_| !heard.whole);
        error.is_some_and(|error| error == code || call.path != ASKED[0].0)
    };
    match expected {
        Meets::Whole => whole(ANSWER) && !heard.declined,
        Meets::Second => whole(OTHER) && !heard.declined,
        Meets::Told => whole("") && heard.declined,
        Meets::Refused(status, code) => heard.status == status && heard.text.is_empty() && told(code),
        Meets::Broken(code) => heard.status == 200 && is_part(call, &heard.text) && told(code),
    }
}

/// What a stream without an end repeats is no part of the answer.
fn is_part(call: &Call, text: &str) -> bool {
    let begun = !text.is_empty() && ANSWER.starts_with(text);
    begun || call.row.fault == "endless" && text.starts_with("Zug ")
}

fn check(gateway: &Gateway, call: &Call) -> Result<Heard, String> {
    let asked = Instant::now();
    let heard = ask(gateway, call);
    let took = asked.elapsed();
    let what = format!("{} {} stream {}: {took:?} {heard:?}", call.model(), call.path, call.stream);
    if !came(call.expected(), call, &heard) {
        return Err(format!("expected {:?}: {what}", call.expected()));
    }
    if took > DEADLINE + SLACK {
        return Err(format!("late: {what}"));
    }
    Ok(heard)
}

/// The book tells the same of each call as its client was told.
fn check_book(gateway: &Gateway, calls: &[(&Call, Heard)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (call, heard) in calls {
        if call.has_second() && call.expected() == OUT_OF_TIME {
            // Whether the second target counts, for which no time was left, is not settled here.
            continue;
        }
        let told = gateway.admin(&format!("/api/decisions/{}", heard.decision)).json()["record"].clone();
        let same_code = told["error_code"].is_string() == heard.error.is_some();
        let targets = call.targets();
        if !same_code || told["attempts"] != targets || heard.attempts != targets.to_string() {
            let what = format!("{} {}: {targets} targets, {heard:?}", call.model(), call.path);
            wrong.push(format!("{what}, but the book has {told}"));
        }
    }
    wrong
}

/// The provider's own log has what was to be tried, and no more.
fn check_log(provider: &Provider, calls: &[Call]) -> Vec<String> {
    let mut expected: BTreeMap<String, usize> = BTreeMap::new();
    for call in calls {
        let tries = if call.place == "tried" { call.row.tries } else { 1 };
        let reached = usize::from(call.row.fault != "unreachable");
        *expected.entry(call.model()).or_default() += tries * reached;
        if call.has_second() {
            let asked = call.targets() - 1;
            *expected.entry(second(call.row.fault, call.place)).or_default() += asked;
        }
    }
    let wrong = expected.iter().filter_map(|(model, expected)| {
        let got = provider.attempts(model).len();
        (got != *expected).then(|| format!("`{model}` was asked {got} times, expected {expected}"))
    });
    wrong.collect()
}

#[test]
fn each_fault_ends_in_a_whole_answer_or_a_clear_error() {
    let provider = Provider::start();
    let setup = setup(&provider);
    let gateway = Gateway::start(&setup);
    let calls = calls();
    let settled = Mutex::new(Vec::new());
    let mut found = complaints(&calls, AT_ONCE, |call| {
        let heard = check(&gateway, call)?;
        settled.lock().unwrap().push((call, heard));
        Ok(())
    });
    gateway.wait_until_idle();
    found.extend(check_book(&gateway, &settled.into_inner().unwrap()));
    found.extend(check_log(&provider, &calls));
    check_none(&found);
    print_table();
}

/// What the README shows: `make faults-table`.
#[expect(clippy::print_stdout, reason = "the table of the README is made of what the test expects")]
fn print_table() {
    println!(
        "| what the provider does | whole | stream | with a second target: whole | stream | stream held |"
    );
    println!("|---|---|---|---|---|---|");
    for row in ROWS {
        let Row { does, alone, pair, .. } = row;
        println!("| {does} | {} | {} | {} | {} | {} |", alone[0], alone[1], pair[0], pair[1], row.held());
    }
}
