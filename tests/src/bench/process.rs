//! The processes that are measured, and what the kernel knows of them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::Gateway;

/// A child that serves on a port of its own; it ends with this value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    input: ChildStdin,
    /// Where it listens, on the loopback.
    pub port: u16,
}

impl Process {
    /// This very program in another role; its first line is its port.
    ///
    /// # Panics
    /// It does not start or says no port.
    pub fn of_self(args: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program's path");
        let mut command = Command::new(program);
        let mut child =
            command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a child");
        let input = child.stdin.take().expect("its input");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let mut process = Self { child, out, input, port: 0 };
        process.port = process.line().parse().expect("a port");
        process
    }

    /// The next line that it prints.
    ///
    /// # Panics
    /// It has ended.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.out.read_line(&mut line).expect("its output");
        assert!(read > 0, "the child has ended");
        line.trim().to_owned()
    }

    /// Tells it a line.
    ///
    /// # Panics
    /// It has ended.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("its input");
    }

    /// Its number in the system.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a child: ends it when whoever started it is gone, however that came about.
pub fn end_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}

/// CPU time of all threads of a process so far, in nanoseconds.
///
/// # Panics
/// There is no such process.
pub fn cpu_ns(process: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("the process's threads");
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// Resident memory of a process, in MiB.
///
/// # Panics
/// There is no such process.
pub fn memory_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process's status");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("its memory");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    kib / 1024.0
}

/// The mean of each stage of the gateway in microseconds, from its `/metrics`.
pub fn stage_means_us(gateway: &Gateway) -> Vec<(&'static str, f64)> {
    let value = |name: &str, stage: &str| {
        gateway.metric(&format!("pointsman_overhead_seconds_{name}{{stage=\"{stage}\"}} "))
    };
    let stages =
        ["admit", "read", "recall", "classify", "decide", "reserve", "ground", "call", "relay", "total"];
    let mean = |stage| {
        let count = value("count", stage);
        (count > 0.0).then(|| (stage, value("sum", stage) / count * 1e6))
    };
    stages.into_iter().filter_map(mean).collect()
}
