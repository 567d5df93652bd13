//! Many calls at once, each judged by itself.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Does `work` for each of `jobs`, so many at once; what it complains about.
pub(crate) fn complaints<'j, T: Sync>(
    jobs: &'j [T],
    at_once: usize,
    work: impl Fn(&'j T) -> Result<(), String> + Sync,
) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let complaints = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_once.min(jobs.len()) {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(complaint) = work(job) {
                        complaints.lock().unwrap().push(complaint);
                    }
                }
            });
        }
    });
    complaints.into_inner().unwrap()
}

/// Fails with the first of `complaints` and how many there are.
pub(crate) fn check_none(complaints: &[String]) {
    let shown: Vec<&str> = complaints.iter().take(25).map(String::as_str).collect();
    assert!(complaints.is_empty(), "{} complaints, among them:\n{}", complaints.len(), shown.join("\n"));
}
