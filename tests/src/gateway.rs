//! A gateway under test: the built binary as a process of its own, on ports that the system chooses.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::http::{Answer, Request};
use crate::setup::Setup;
use crate::{PATIENCE, eventually};

/// The binary: `POINTSMAN_BIN`, or `pointsman` where cargo put it beside the tests.
///
/// # Panics
/// It is not there.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("POINTSMAN_BIN") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(Path::parent).unwrap().join("pointsman");
    assert!(built.is_file(), "{} is missing: cargo build --release -p pointsman", built.display());
    built
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// The exit status; `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// Runs a command of the binary to its end, with the configuration of `setup`.
pub fn run(setup: &Setup, arguments: &[&str]) -> Output {
    let output = command(setup).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn command(setup: &Setup) -> Command {
    let mut command = Command::new(binary());
    command.arg("--config").arg(setup.path("gateway.toml"));
    command.env_remove("OPENAI_API_KEY").env_remove("OPENAI_BASE_URL").env_remove("RUST_LOG");
    command.envs(setup.environment().iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null());
    command
}

/// A running gateway. Dropping it kills it.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    /// Where applications ask.
    pub data: SocketAddr,
    /// Where operators look.
    pub admin: SocketAddr,
    log: Arc<Log>,
    /// Ends the gateway when this process ends without dropping it, as it does with what is `static`.
    watcher: Child,
}

#[derive(Debug, Default)]
struct Log {
    text: Mutex<String>,
    grown: Condvar,
}

impl Gateway {
    /// Starts it and waits for its banner.
    ///
    /// # Panics
    /// It ends before it serves; its log is in the message.
    pub fn start(setup: &Setup) -> Self {
        let mut child =
            command(setup).arg("serve").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let watcher = watch(&child, &setup.path(""));
        let log = Arc::new(Log::default());
        let stderr = child.stderr.take().unwrap();
        let for_reader = Arc::clone(&log);
        thread::spawn(move || for_reader.gather(stderr));
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut data, mut admin) = (None, None);
        while data.is_none() || admin.is_none() {
            let Some(line) = stdout.next() else {
                let status = child.wait().unwrap();
                panic!("the gateway ended with {status} before it served:\n{}", log.text.lock().unwrap());
            };
            let line = line.unwrap();
            data = data.or_else(|| address(&line, "  data "));
            admin = admin.or_else(|| address(&line, "  admin "));
        }
        // The rest of the banner must not block the process.
        thread::spawn(move || stdout.for_each(drop));
        Self { child, data: data.unwrap(), admin: admin.unwrap(), log, watcher }
    }

    /// Asks for a chat completion.
    pub fn chat(&self, body: &Value) -> Answer {
        Request::post("/v1/chat/completions", body).send(self.data)
    }

    /// Asks `model` something, with `more` fields of the request.
    pub fn ask(&self, model: &str, more: Value) -> Answer {
        self.chat(&question(model, more))
    }

    /// Reads from the admin port.
    pub fn admin(&self, path: &str) -> Answer {
        Request::get(path).send(self.admin)
    }

    /// The value of a metric's line that begins with `name`, the sum of all of them; 0 where there is none.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.admin("/metrics").expect(200).text();
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until no request is under way.
    pub fn wait_until_idle(&self) {
        self.wait_until_idle_but(0);
    }

    /// Waits until only so many requests are under way.
    pub fn wait_until_idle_but(&self, left: u32) {
        let name = "pointsman_requests_in_flight";
        eventually("the other requests are settled", || self.metric(name) == f64::from(left));
    }

    /// Its number in the system.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.text.lock().unwrap().clone()
    }

    /// Waits until its log has `part` in it.
    ///
    /// # Panics
    /// It does not within [`PATIENCE`].
    pub fn wait_for_log(&self, part: &str) {
        let text = self.log.text.lock().unwrap();
        let (text, waited) =
            self.log.grown.wait_timeout_while(text, PATIENCE, |text| !text.contains(part)).unwrap();
        assert!(!waited.timed_out(), "`{part}` was never logged:\n{text}");
    }

    /// Sends a signal: `TERM`, `HUP`, `KILL`.
    pub fn signal(&self, name: &str) {
        // By the shell, whose `kill` is built in: no signal call in safe Rust, and no package needed for a program.
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Ends it in an orderly way and waits.
    ///
    /// # Panics
    /// It does not end with success.
    pub fn stop(mut self) {
        self.signal("TERM");
        let status = self.wait();
        assert!(status.success(), "{status}:\n{}", self.log());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // These fail only where it has ended already. The watcher goes first: an id may be given to another process.
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the end of its input, which this process holds, then kills the gateway and removes its folder.
fn watch(gateway: &Child, folder: &Path) -> Child {
    Command::new("sh")
        .args(["-c", "read -r _; kill -KILL \"$1\"; rm -rf -- \"$2\"", "watcher"])
        .arg(gateway.id().to_string())
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl Log {
    fn gather(&self, from: impl Read) {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let mut text = self.text.lock().unwrap();
            text.push_str(&String::from_utf8_lossy(&line));
            text.push('\n');
            self.grown.notify_all();
        }
    }
}

fn address(line: &str, label: &str) -> Option<SocketAddr> {
    let url = line.strip_prefix(label)?.trim().strip_prefix("http://")?;
    url.split('/').next()?.parse().ok()
}

/// A request that asks `model` something, with `more` fields.
pub fn question(model: &str, more: Value) -> Value {
    let mut body =
        json!({"model": model, "messages": [{"role": "user", "content": "Where does the train go?"}]});
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}
