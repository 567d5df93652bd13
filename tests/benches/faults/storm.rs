//! All targets fail, for a while and in every way, under requests that go on coming: how often the providers are called, what
//! the clients are told, and how soon after healing the primary answers again.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use tests::bench::{Asked, Load, Question};
use tests::{Gateway, Setup};

use crate::Verdict;
use crate::failing::Failing;

/// Requests a second, half of them streams.
const RATE: u32 = 50;
/// Before the failure, and after it.
const BEFORE: Duration = Duration::from_secs(3);
const AFTER: Duration = Duration::from_secs(12);
/// What a request has, and how much later its end may be seen.
const DEADLINE: Duration = Duration::from_secs(5);
const SLACK: Duration = Duration::from_secs(1);
/// The goals.
const ATTEMPTS_PER_REQUEST: f64 = 1.2;
const ATTEMPTS_PER_SECOND: f64 = 10.0;
const HEALS_WITHIN: Duration = Duration::from_secs(5);

/// What the gateway writes about each attempt that failed, one that never reached a provider included.
const FAILED_ATTEMPT: &str = "attempt failed";

/// When the providers failed and healed, and how many requests had reached them then.
struct Failure {
    began: Instant,
    healed: Instant,
    seen: usize,
}

/// Measures, prints and judges.
pub(crate) fn measure(setup: &Setup, targets: [&Failing; 2], fails_for: Duration, verdict: &mut Verdict) {
    let gateway = Gateway::start(setup);
    let mut load = Load::new();
    let (taken, failure) = thread::scope(|scope| {
        let failure = scope.spawn(|| fail(targets, fails_for));
        let time = BEFORE + fails_for + AFTER;
        let taken = load.open_to_whatever(gateway.data.port(), RATE, time, question);
        (taken, failure.join().expect("the failure"))
    });
    let (asked, healing): (Vec<&Asked>, Vec<&Asked>) = taken
        .iter()
        .filter(|asked| asked.sent >= failure.began)
        .partition(|asked| asked.sent < failure.healed);
    println!(
        "Total failure of both targets for {} s at {RATE} requests/s: 503, reset, 200 with an error inside, silence, and a\n\
         closed port one second in five\n",
        fails_for.as_secs()
    );
    attempts(&gateway, &failure, asked.len(), verdict);
    answers(&asked, &failure, verdict);
    recovery(&healing, failure.healed, verdict);
    gateway.stop();
}

fn fail(targets: [&Failing; 2], fails_for: Duration) -> Failure {
    let seen = || targets.iter().map(|target| target.attempts()).sum::<usize>();
    thread::sleep(BEFORE);
    let (began, before) = (Instant::now(), seen());
    targets.iter().for_each(|target| target.fail(true));
    thread::sleep(fails_for);
    targets.iter().for_each(|target| target.fail(false));
    Failure { began, healed: Instant::now(), seen: seen() - before }
}

/// Half of them streams, each a new text, so that no cache answers.
fn question(number: usize) -> Question {
    let text = format!("What is the capital of country number {number}?");
    let messages = json!([{"role": "user", "content": text}]);
    let body = json!({"model": "plain", "stream": number.is_multiple_of(2), "messages": messages});
    Question { path: "/v1/chat/completions", body: Bytes::from(body.to_string()) }
}

fn attempts(gateway: &Gateway, failure: &Failure, requests: usize, verdict: &mut Verdict) {
    let seconds = (failure.healed - failure.began).as_secs_f64();
    let allowed = requests as f64 * ATTEMPTS_PER_REQUEST + seconds * ATTEMPTS_PER_SECOND;
    let failed = gateway.log().matches(FAILED_ATTEMPT).count();
    println!("{:<44}{requests:>10}", "requests");
    println!("{:<44}{:>10}", "attempts, by the providers' log", failure.seen);
    println!("{:<44}{failed:>10}", "attempts, by the gateway's, refused included");
    println!("{:<44}{allowed:>10.0}", "allowed: 1.2 a request and 10 a second");
    verdict.check(failed > 0, "the gateway logs its attempts");
    let most = failed.max(failure.seen);
    verdict.check(most as f64 <= allowed, &format!("{most} attempts, {allowed:.0} allowed"));
}

fn answers(asked: &[&Asked], failure: &Failure, verdict: &mut Verdict) {
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    let mut longest = Duration::ZERO;
    let mut false_answers = 0;
    for asked in asked {
        *statuses.entry(asked.status).or_default() += 1;
        longest = longest.max(asked.whole);
        let healthy_by_then = asked.sent + asked.whole >= failure.healed;
        false_answers += usize::from(asked.status == 200 && !healthy_by_then);
    }
    let statuses: Vec<String> =
        statuses.iter().map(|(status, count)| format!("{count} x {status}")).collect();
    println!("{:<44}{:>10}", "answers", statuses.join(", "));
    println!("{:<44}{:>10.2} s", "longest wait for one", longest.as_secs_f64());
    verdict.check(false_answers == 0, &format!("{false_answers} answers of nobody"));
    verdict
        .check(longest <= DEADLINE + SLACK, &format!("an answer after {longest:?}, deadline {DEADLINE:?}"));
}

fn recovery(healing: &[&Asked], healed: Instant, verdict: &mut Verdict) {
    let by_primary = |asked: &&&Asked| asked.status == 200 && asked.header("x-pointsman-model") == "primary";
    let answered = |asked: &Asked| asked.sent + asked.whole - healed;
    let first = healing.iter().filter(by_primary).map(|asked| answered(asked)).min();
    let last_other = healing.iter().filter(|asked| !by_primary(asked)).map(|asked| asked.sent - healed).max();
    let seconds = |time: Option<Duration>| {
        time.map_or("never".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()))
    };
    println!("{:<44}{:>12}", "healed: first answer of the primary after", seconds(first));
    println!(
        "{:<44}{:>12}",
        "healed: last request it did not answer, at",
        seconds(Some(last_other.unwrap_or_default()))
    );
    verdict.check(first.is_some_and(|first| first <= HEALS_WITHIN), "back on the primary within 5 s");
}
