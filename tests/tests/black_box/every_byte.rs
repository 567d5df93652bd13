//! A provider of each dialect that breaks its stream off at each byte in turn: what a client gets is the whole answer, or it
//! says that it is not.

mod told;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tests::{AGAIN, BRIEF, Dialects, Gateway, Request, Setup, run};

use self::told::{Face, Told};

/// What a policy does with a stream that breaks after its first word. Before it, a second target takes over in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    Tell,
    Hold,
    Resume,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Tell => "tell",
            Self::Hold => "hold",
            Self::Resume => "resume",
        }
    }
}

/// One request: what breaks, at which byte, and what is done about it.
#[derive(Clone, Copy, Debug)]
struct Case {
    how: &'static str,
    at: usize,
    mode: Mode,
}

impl Case {
    fn behaviour(&self) -> String {
        format!("{}.{}", self.how, self.at)
    }
}

/// A gateway with a model for each way and byte, and a policy for each of them and mode.
struct Scene {
    dialect: &'static str,
    provider: Dialects,
    setup: Setup,
    cases: Vec<Case>,
    bytes: usize,
}

impl Scene {
    fn new(dialect: &'static str, hows: &[(&'static str, &[Mode])]) -> Self {
        let provider = Dialects::start();
        let bytes = Dialects::recorded_bytes(dialect);
        // The limits on silence are far above what a loaded machine takes, but for the faults that reach them.
        let silence = if hows.iter().any(|(how, _)| *how == "stall") { 250 } else { 20_000 };
        let silence = format!("first_byte_timeout_ms = {silence}\nidle_timeout_ms = {silence}\n");
        let mut models = provider.models_toml();
        // The dearer one, so that it stays the second whatever the gateway learns of the first.
        let other = provider.model_toml("chat", "other", "continues = \"prefix\"\nconcurrency_max = 2000\n");
        models += &other.replace("output = 2.0", "output = 20.0");
        let mut policies = "default = \"plain\"\n\n[policy.plain]\ntrack = \"external\"\nreference_model = \"chat-ok\"\n\
                            targets.external = [\"chat-ok\"]\nwhen_unavailable.external = \"refuse\"\nquality_floor = 0.0\n\
                            deadline_ms = 30000\ncache = { read = false, write = false }\n\n"
            .to_owned();
        let mut cases = Vec::new();
        for (how, modes, at) in
            hows.iter().flat_map(|(how, modes)| (0..=bytes).map(move |at| (*how, *modes, at)))
        {
            let behaviour = format!("{how}.{at}");
            models += &provider.model_toml(dialect, &behaviour, &silence);
            for mode in modes.iter().filter(|mode| **mode == Mode::Tell || at % STEP == 0) {
                cases.push(Case { how, at, mode: *mode });
                let name = mode.name();
                let _ = write!(
                    policies,
                    "[policy.\"{name}-{behaviour}\"]\nlike = \"plain\"\non_broken_stream = \"{name}\"\n\
                     targets.external = [\"{dialect}-{behaviour}\", \"chat-other\"]\n\n"
                );
            }
        }
        let setup = Setup::of(&models)
            .with_file("policy.toml", &policies)
            .with("gateway.toml", "[limits]\nrequests_max = 4000\nconnections_max = 4000\n");
        Self { dialect, provider, setup, cases, bytes }
    }

    /// Asks all cases, so many at once; then holds the logs of the provider and the book against what was told.
    fn check(&self, at_once: usize) {
        let gateway = Gateway::start(&self.setup);
        let next = AtomicUsize::new(0);
        let tallies: Mutex<BTreeMap<(&str, Mode), Tally>> = Mutex::default();
        let wrong: Mutex<Vec<String>> = Mutex::default();
        std::thread::scope(|scope| {
            for _ in 0..at_once {
                scope.spawn(|| {
                    while let Some(case) = self.cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        match self.ask(&gateway, *case) {
                            Ok(tally) => {
                                tallies.lock().unwrap().entry((case.how, case.mode)).or_default().add(&tally);
                            }
                            Err(broken) => wrong.lock().unwrap().push(broken),
                        }
                    }
                });
            }
        });
        let wrong = wrong.into_inner().unwrap();
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), self.cases.len(), wrong.join("\n"));
        let tallies = tallies.into_inner().unwrap();
        show(self.dialect, self.bytes, &tallies);
        let mut all = Tally::default();
        tallies.values().for_each(|tally| all.add(tally));
        assert_eq!(all.asked, self.cases.len());
        self.check_calls(&tallies);
        gateway.wait_until_idle();
        gateway.stop();
        let report: Value = serde_json::from_str(&run(&self.setup, &["report", "--json"]).stdout).unwrap();
        let (requests, errors) = (&report["total"]["requests"], &report["total"]["errors"]);
        assert_eq!((requests, errors), (&json!(all.asked), &json!(all.failed)), "the book");
    }

    /// Holds the provider's log against what was told: no case took a call more than it needed.
    fn check_calls(&self, tallies: &BTreeMap<(&str, Mode), Tally>) {
        let mut expected: BTreeMap<String, usize> = BTreeMap::new();
        for case in &self.cases {
            *expected.entry(case.behaviour()).or_default() += 1;
        }
        for (behaviour, cases) in expected {
            let asked = self.provider.asked(self.dialect, &behaviour);
            // On a busy machine the short patience with a silent provider may end before it has read its request.
            let fits = asked == cases || behaviour.starts_with("stall") && asked < cases;
            assert!(fits, "{behaviour}: {asked} calls for {cases} requests");
        }
        let others: usize = tallies.values().map(|tally| tally.others).sum();
        let resumed = |mode: &Mode| *mode == Mode::Resume;
        let least = others;
        let most: usize =
            tallies.iter().filter(|((_, mode), _)| resumed(mode)).map(|(_, tally)| tally.first).sum();
        let second = self.provider.asked("chat", "other");
        assert!(
            (least..=least + most).contains(&second),
            "{second} calls of the second target, {least} of it whole"
        );
    }

    /// Asks one case: how it ended, or which rules that breaks.
    fn ask(&self, gateway: &Gateway, case: Case) -> Result<Tally, String> {
        let face = Face::ALL[case.at % Face::ALL.len()];
        let target = format!("{}-{}", case.mode.name(), case.behaviour());
        let told = Told::of(face, Request::post(face.path(), &face.question(&target)).open(gateway.data));
        let broken: Vec<&str> =
            self.rules(case, &told).into_iter().filter(|(holds, _)| !holds).map(|(_, rule)| rule).collect();
        if !broken.is_empty() {
            return Err(format!("{broken:?}: {} {case:?} {face:?} {told:?}", self.dialect));
        }
        let first = told.whole && told.text.starts_with(BRIEF);
        Ok(Tally {
            asked: 1,
            first: usize::from(first),
            others: usize::from(told.whole && !first),
            failed: usize::from(!told.whole),
        })
    }

    /// What must be true of every answer, whatever broke.
    fn rules(&self, case: Case, told: &Told) -> [(bool, &'static str); 11] {
        let Case { how, at, mode } = case;
        let others = told.text == AGAIN;
        let begun = !told.text.is_empty();
        // What ends in RST may not arrive, though it was sent.
        let all_came =
            how == "split" || at == self.bytes && (how == "end" || how != "reset" && self.says_its_end());
        let bytes_miss = at < self.bytes && matches!(how, "cut" | "reset" | "stall");
        let codes: &[&str] =
            if how == "stall" { &["upstream_stalled", "upstream_timeout"] } else { &["upstream_cut"] };
        let rescued = mode != Mode::Tell || !begun;
        // A stream's head is written before anybody knows whether it will be continued.
        let attempts = if others { "2" } else { "1" };
        [
            (told.whole != told.error.is_some(), "it is whole, or it ends by an error"),
            (!told.goes_on, "nothing comes after the end"),
            (others || BRIEF.starts_with(&told.text), "it is the text of one target"),
            (!told.whole || others || told.text == BRIEF, "what is called whole has all of its text"),
            (begun == (told.status == 200), "what fails before its first word has an error's status"),
            (!all_came || told.whole && !others, "what is whole is told so"),
            (!bytes_miss || mode != Mode::Tell || !told.whole || others, "what is cut is not whole"),
            (!bytes_miss || mode != Mode::Hold || others, "what is cut is not sent"),
            (!rescued || told.whole, "the second target takes over"),
            (
                told.error.as_ref().is_none_or(|code| codes.contains(&code.as_str())),
                "the code says what broke",
            ),
            (told.status != 200 || told.attempts == attempts, "the attempts are told"),
        ]
    }

    /// Whether the dialect has an event after which nothing comes.
    fn says_its_end(&self) -> bool {
        self.dialect != "gemini"
    }
}

/// How many requests were asked, and how they ended.
#[derive(Debug, Default)]
struct Tally {
    asked: usize,
    /// With the whole text of the first target, continued or not.
    first: usize,
    others: usize,
    failed: usize,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.asked += other.asked;
        self.first += other.first;
        self.others += other.others;
        self.failed += other.failed;
    }
}

/// The lines that `make faults-table` makes a table of.
#[expect(clippy::print_stdout, reason = "the table is for a person")]
fn show(dialect: &str, bytes: usize, tallies: &BTreeMap<(&str, Mode), Tally>) {
    for ((how, mode), Tally { asked, first, others, failed, .. }) in tallies {
        println!(
            "| {dialect} | {how} at each of {bytes} bytes | {} | {asked} | {first} | {others} | {failed} | 0 |",
            mode.name()
        );
    }
}

/// Where a stream is not only told to be broken, every so many bytes will do: the same code has read them.
const STEP: usize = 5;

const ALL: &[Mode] = &[Mode::Tell, Mode::Hold, Mode::Resume];

/// The connection breaks, in both ways, and the body ends where the answer does not.
fn check_cut(dialect: &'static str) {
    Scene::new(dialect, &[("cut", ALL), ("reset", ALL), ("end", &[Mode::Tell])]).check(48);
}

/// Nothing more comes, and the connection stays.
fn check_stalled(dialect: &'static str) {
    Scene::new(dialect, &[("stall", ALL)]).check(300);
}

/// All comes, in two pieces.
fn check_split(dialect: &'static str) {
    Scene::new(dialect, &[("split", &[Mode::Tell])]).check(48);
}

#[test]
fn chat_is_never_whole_where_it_is_cut() {
    check_cut("chat");
}

#[test]
fn chat_is_never_whole_where_it_stalls() {
    check_stalled("chat");
}

#[test]
fn chat_comes_through_in_two_pieces() {
    check_split("chat");
}

#[test]
fn responses_is_never_whole_where_it_is_cut() {
    check_cut("responses");
}

#[test]
fn responses_is_never_whole_where_it_stalls() {
    check_stalled("responses");
}

#[test]
fn responses_comes_through_in_two_pieces() {
    check_split("responses");
}

#[test]
fn anthropic_is_never_whole_where_it_is_cut() {
    check_cut("anthropic");
}

#[test]
fn anthropic_is_never_whole_where_it_stalls() {
    check_stalled("anthropic");
}

#[test]
fn anthropic_comes_through_in_two_pieces() {
    check_split("anthropic");
}

#[test]
fn gemini_is_never_whole_where_it_is_cut() {
    check_cut("gemini");
}

#[test]
fn gemini_is_never_whole_where_it_stalls() {
    check_stalled("gemini");
}

#[test]
fn gemini_comes_through_in_two_pieces() {
    check_split("gemini");
}
