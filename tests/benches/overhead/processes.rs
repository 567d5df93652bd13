//! The processes that are measured, and what the kernel knows of them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A child that serves on a port of its own; it ends with this value.
pub(crate) struct Process {
    child: Child,
    pub(crate) port: u16,
    admin: Option<u16>,
    folder: Option<PathBuf>,
}

impl Process {
    /// This very program in another role; it prints its port first.
    pub(crate) fn of_self(args: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program's path");
        let mut child = Command::new(program).args(args).stdout(Stdio::piped()).spawn().expect("a child");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("its port");
        Self { child, port: line.trim().parse().expect("a port"), admin: None, folder: None }
    }

    /// The folder of its files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_deref().expect("only the gateway has files")
    }

    /// CPU time of all threads so far, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the process's threads");
        tasks
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
            .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// Resident memory.
    pub(crate) fn memory_mib(&self) -> f64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process's status");
        let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("its memory");
        let kib: f64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
        kib / 1024.0
    }

    /// The mean of each stage in microseconds, from `/metrics`.
    pub(crate) fn stage_means_us(&self) -> Vec<(String, f64)> {
        let mut stream =
            TcpStream::connect(("127.0.0.1", self.admin.expect("an admin port"))).expect("the admin port");
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .expect("a request");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("the metrics");
        let value = |name: &str, stage: &str| -> Option<f64> {
            let start = format!("{name}{{stage=\"{stage}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok())
        };
        ["admit", "read", "recall", "classify", "decide", "reserve", "ground", "call", "relay", "total"]
            .iter()
            .filter_map(|stage| {
                let sum = value("pointsman_overhead_seconds_sum", stage)?;
                let count = value("pointsman_overhead_seconds_count", stage)?;
                Some(((*stage).to_owned(), sum / count.max(1.0) * 1e6))
            })
            .collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// The gateway with the provider at `port` as its only external model.
pub(crate) fn gateway(port: u16) -> Process {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let models =
        std::env::var("POINTSMAN_MODELS").unwrap_or_else(|_| root.join(".models").display().to_string());
    let folder = std::env::temp_dir().join(format!("pointsman-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("a file");
    write(
        "gateway.toml",
        format!(
            "[listen]\ndata = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[files]\nexemplars = \"{}\"\nstate = \"var\"\n\
             [encoder]\nmodel = \"{models}/minilm\"\nruntime = \"{models}/onnxruntime/libonnxruntime.so\"\n",
            root.join("config/exemplars").display()
        ),
    );
    write(
        "models.toml",
        fs::read_to_string(root.join("tests/benches/overhead/models.toml"))
            .expect("models.toml")
            .replace("PORT", &port.to_string()),
    );
    write("policy.toml", policy(&root.join("config/policy.toml")));
    let binary = std::env::var("POINTSMAN_BIN").expect("POINTSMAN_BIN: run `make bench`");
    let mut child = Command::new(binary)
        .arg("--config")
        .arg(folder.join("gateway.toml"))
        .arg("serve")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the gateway");
    let mut ports = (None, None);
    for line in BufReader::new(child.stdout.take().expect("its output")).lines() {
        let line = line.expect("a line");
        let port_of =
            |line: &str| line.trim_end_matches("/v1").rsplit(':').next().and_then(|port| port.parse().ok());
        if line.starts_with("  data ") {
            ports.0 = port_of(&line);
        }
        if line.starts_with("  admin ") {
            ports.1 = port_of(&line);
            break;
        }
    }
    let port = ports.0.expect("the data port");
    Process { child, port, admin: ports.1, folder: Some(folder) }
}

/// The shipped policy with the bench's model as its only target: the questions are what is measured.
fn policy(path: &Path) -> String {
    let shipped = fs::read_to_string(path).expect("the shipped policy");
    let lines = shipped.lines().map(|line| match line.split_once(" = ") {
        Some(("targets.local", _)) => "targets.local = [\"task\"]".to_owned(),
        Some((key @ ("targets.retrieval" | "targets.external"), _)) => {
            format!("{key} = [\"bench\"]")
        }
        Some(("reference_model", _)) => "reference_model = \"bench\"".to_owned(),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n") + WORDS
}

/// One question that needs no encoder.
const WORDS: &str = r#"
[policy.words]
targets.external = ["bench"]
[[policy.words.question]]
id = "context"
ask = "Is the text there that it is about?"
when = "context_given >= 0.5 && context_sufficient >= 0.5"
yes = "external"
no = "external"
"#;
