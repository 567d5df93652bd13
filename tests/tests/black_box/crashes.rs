//! A hundred kill -9 in the midst of building, adding, removing, uploading and swapping: what was acknowledged is there,
//! what was not is there whole or not at all, and what is there is never mixed.

use std::collections::BTreeMap;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{Gateway, Provider, Request, Setup, binary, run};

use crate::house::setup;

/// The documents of a store, by name: the number that each carries in its text.
type Held = BTreeMap<String, u64>;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A document of some passages, all with the same number.
fn document(name: &str, number: u64) -> String {
    let part = |part: u64| {
        format!("## Part {part}\n\nThe ledger of {name} names the count {number} in part {part}.\n\n")
    };
    format!("# Ledger {name}\n\n{}", (0..3).map(part).collect::<String>())
}

fn index(setup: &Setup, arguments: &[&str]) -> String {
    let done = run(setup, &[&["index"], arguments].concat());
    assert_eq!(done.code, Some(0), "{arguments:?}: {}{}", done.stdout, done.stderr);
    done.stdout
}

/// What a fresh process finds: every document once, and all passages of one document of one version.
fn held(setup: &Setup) -> Held {
    let listed = index(setup, &["list", "--json"]);
    let mut held = Held::new();
    for line in listed.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let name = line["name"].as_str().unwrap().to_owned();
        assert_eq!(line["passages"], 3, "{name} is not whole");
        held.insert(name, 0);
    }
    let found = index(setup, &["search", "ledger names the count", "--passages", "1000", "--json"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    let passages = found["passages"].as_array().unwrap();
    assert_eq!(passages.len(), 3 * held.len(), "passages and documents belong together");
    for passage in passages {
        let text = passage["text"].as_str().unwrap();
        let number = text.split("count ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let known = held.get_mut(passage["file"].as_str().unwrap()).unwrap();
        assert!(*known == 0 || *known == number, "two versions of one document: {text}");
        *known = number;
    }
    held
}

/// Runs a command and kills it after a while, unless it has ended by then; tells whether it ended well.
fn killed_after(setup: &Setup, arguments: &[&str], after: Duration) -> bool {
    let mut command = Command::new(binary());
    command.arg("--config").arg(setup.path("gateway.toml")).arg("index").args(arguments);
    command
        .env("TEST_UPSTREAM_KEY", "k")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    thread::sleep(after);
    let _ = child.kill();
    child.wait().unwrap().success()
}

#[test]
fn commands_killed_at_any_moment_leave_the_old_or_the_new() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"]);
    let mut dice = Dice(5);
    let mut now = Held::new();
    for name in ["a.md", "b.md", "c.md"] {
        setup.write(&format!("docs/{name}"), &document(name, 1));
        now.insert(name.to_owned(), 1);
    }
    let began = Instant::now();
    index(&setup, &["build"]);
    let whole = began.elapsed();
    assert_eq!(held(&setup), now);
    let mut cut = 0;
    for round in 2..87 {
        let name = format!("{}.md", ["a", "b", "c", "d", "e", "f"][dice.roll(6) as usize]);
        let after = whole.mul_f64(dice.roll(1000) as f64 / 1000.0);
        let file = format!("docs/{name}");
        let mut next = now.clone();
        let ended = match dice.roll(4) {
            0 if now.len() > 1 && now.contains_key(&name) => {
                next.remove(&name);
                killed_after(&setup, &["remove", &name], after)
            }
            kind => {
                setup.write(&file, &document(&name, round));
                next.insert(name.clone(), round);
                let added = setup.path(&file).display().to_string();
                if kind == 1 {
                    killed_after(&setup, &["add", &setup.path("docs").display().to_string()], after)
                } else {
                    killed_after(&setup, &["add", &added], after)
                }
            }
        };
        let found = held(&setup);
        cut += u32::from(!ended);
        // A whole folder that is added may bring back what was removed before: its files are what counts then.
        let on_disk = |held: &Held| {
            held.iter().all(|(name, number)| setup.read(&format!("docs/{name}")) == document(name, *number))
        };
        if ended {
            assert!(found == next || on_disk(&found), "round {round}: {found:?} instead of {next:?}");
        } else {
            assert!(
                found == now || found == next || on_disk(&found),
                "round {round}: {found:?}, {now:?}, {next:?}"
            );
        }
        now = found;
    }
    assert!(cut > 20, "only {cut} commands were cut short");
    index(&setup, &["build"]);
}

#[test]
fn a_gateway_killed_at_any_moment_keeps_what_it_acknowledged() {
    let provider = Provider::start();
    let setup =
        setup(&provider, &["ok"]).with_changed("gateway.toml", "[index]\n", "[index]\nuploads = true\n");
    let mut dice = Dice(11);
    let mut acknowledged = Held::new();
    for round in 1..=15 {
        let gateway = Gateway::start(&setup);
        let data = gateway.data;
        let sending = thread::spawn(move || {
            let mut told = Vec::new();
            for part in 0..1000_u64 {
                let (name, number) = (format!("{}.md", part % 5), round * 1000 + part);
                let form = format!(
                    "--cut\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{}\r\n--cut--\r\n",
                    document(&name, number)
                );
                let request = Request::post_bytes("/v1/vector_stores/default/files", form)
                    .without("content-type")
                    .header("content-type", "multipart/form-data; boundary=cut");
                let status = request.try_send(data);
                told.push((name, number, status == Some(200)));
                if status.is_none() {
                    break;
                }
            }
            told
        });
        thread::sleep(Duration::from_millis(50 + dice.roll(400)));
        gateway.signal("KILL");
        let mut last = None;
        for (name, number, ended) in sending.join().unwrap() {
            match ended {
                true => drop(acknowledged.insert(name, number)),
                false => last = Some((name, number)),
            }
        }
        drop(gateway);
        if acknowledged.is_empty() && last.is_none() {
            continue;
        }
        let found = if run(&setup, &["index", "stats"]).code == Some(0) { held(&setup) } else { Held::new() };
        let mut maybe = acknowledged.clone();
        maybe.extend(last);
        assert!(
            found == acknowledged || found == maybe,
            "round {round}: {found:?}, {acknowledged:?}, {maybe:?}"
        );
        acknowledged = found;
    }
    assert!(!acknowledged.is_empty());
    let asked = json!({"query": "ledger names the count"});
    let gateway = Gateway::start(&setup);
    Request::post("/v1/vector_stores/default/search", &asked).send(gateway.data).expect(200);
}
