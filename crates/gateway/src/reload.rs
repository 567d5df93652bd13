//! Reload: on SIGHUP, on a changed file, and when another process has built an index or trained a task.
//!
//! All or nothing: a file with a mistake leaves what runs in place, and the log, `/api/config` and a gauge say so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;

use crate::house::House;

/// Editors write a file in several steps; the reload waits until they have been quiet this long.
const QUIET: Duration = Duration::from_millis(300);

/// Waits for reasons to reload, for ever.
pub(crate) async fn watch(house: Arc<House>, mut hangup: Signal) {
    let (changed, mut changes) = mpsc::channel::<()>(1);
    // Dropping the watcher ends it, so it lives as long as this task.
    let _watcher = match watcher(&house, changed) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, "files are not watched; send SIGHUP after a change");
            None
        }
    };
    loop {
        tokio::select! {
            signalled = hangup.recv() => if signalled.is_none() { return },
            Some(()) = changes.recv() => settle(&mut changes).await,
        }
        let reloading = Arc::clone(&house);
        let done = tokio::task::spawn_blocking(move || reload(&reloading)).await;
        if let Err(error) = done {
            tracing::error!(%error, "the reload failed");
        }
    }
}

async fn settle(changes: &mut mpsc::Receiver<()>) {
    while let Ok(Some(())) = tokio::time::timeout(QUIET, changes.recv()).await {}
}

fn reload(house: &House) {
    match house.reload() {
        Ok(()) => tracing::info!(revision = %house.decider.live.load().revision, "configuration reloaded"),
        Err(mistakes) => tracing::error!("configuration refused, the old one goes on:\n{mistakes}"),
    }
    house.decider.refresh();
}

/// Watches the folders, not the files: editors replace files, and a watch on a file dies with it.
fn watcher(house: &House, changed: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let files = watched_files(house);
    let mut folders: Vec<PathBuf> = files.iter().filter_map(|path| path.parent().map(Path::to_owned)).collect();
    folders.sort();
    folders.dedup();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let writes = !matches!(event.kind, notify::EventKind::Access(_));
        let ours = |path: &PathBuf| files.iter().any(|file| path == file || path.starts_with(file));
        if writes && event.paths.iter().any(ours) {
            // A change is waiting already where the channel is full.
            let _ = changed.try_send(());
        }
    })?;
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        watcher.watch(folder, RecursiveMode::Recursive)?;
    }
    Ok(watcher)
}

/// The files and folders whose change matters, by their true paths: what the watcher reports.
fn watched_files(house: &House) -> Vec<PathBuf> {
    let settings = &house.decider.settings;
    let paths = [
        settings.file.clone(),
        settings.files.policy.clone(),
        settings.files.models.clone(),
        settings.files.exemplars.clone(),
        settings.files.state.join("tasks"),
        settings.index.path.join("current"),
    ];
    paths.iter().filter_map(|path| absolute(path)).collect()
}

/// The true path of a file that may not be there yet.
fn absolute(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(path.file_name()?))
}
