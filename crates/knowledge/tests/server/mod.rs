//! A Milvus server of one process, for as long as a test lasts.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// See the module.
pub(crate) struct Server {
    /// Where it answers.
    pub(crate) url: String,
    process: Child,
    _data: tempfile::TempDir,
}

impl Server {
    /// Starts one on a free port and waits until it takes calls.
    pub(crate) fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let packages = root.join(".tools/milvus");
        assert!(packages.is_dir(), "milvus-lite is not installed; `make milvus` does it");
        let data = tempfile::tempdir().unwrap();
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut process = Command::new(python)
            .arg(root.join("tests/milvus/server.py"))
            .arg(data.path())
            .env("PYTHONPATH", packages)
            .env("OMP_NUM_THREADS", "1")
            // It ends with its input, whatever becomes of the test.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let port = port.trim();
        assert!(!port.is_empty(), "milvus-lite did not start: {:?}", process.wait());
        Self { url: format!("http://127.0.0.1:{port}"), process, _data: data }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
