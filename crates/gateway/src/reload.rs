//! Reload: on SIGHUP, on a changed file or key, and when another process has built an index or changed which version of a task
//! serves.
//!
//! All or nothing: a file with a mistake leaves what runs in place, and the log, `/api/config` and a gauge say so.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::house::House;
use crate::settings::{Settings, StoreSettings};
use crate::surroundings::Secrets;
use crate::tasks::version::STANDING;

/// Editors write a file in several steps; the reload waits until they have been quiet this long.
const QUIET: Duration = Duration::from_millis(300);

/// Files of secrets are looked at this often: they are mounted in ways that a watcher does not see.
const GLANCE: Duration = Duration::from_secs(2);

/// Watches the operator's files, the trained tasks and the stores. Made before they are read, so that no change falls
/// between the two.
pub(crate) struct Watch {
    changes: mpsc::Receiver<()>,
    /// The operator's files are among what changed.
    files: Arc<AtomicBool>,
    /// Dropping it would end the watching.
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Begins to watch; where the system does not let us, SIGHUP is left, and the log says so.
    pub(crate) fn begin(settings: &Settings) -> Self {
        let (changed, changes) = mpsc::channel(1);
        let files = Arc::new(AtomicBool::new(false));
        let watcher = watcher(settings, changed, Arc::clone(&files))
            .inspect_err(|error| tracing::warn!(%error, "files are not watched; send SIGHUP after a change"));
        Self { changes, files, _watcher: watcher.ok() }
    }

    /// Reloads whenever there is a reason to, for ever.
    pub(crate) async fn run(mut self, house: Arc<House>, mut hangup: Signal) {
        let mut glance = tokio::time::interval(GLANCE);
        glance.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut acted_on = Secrets::default();
        loop {
            tokio::select! {
                _ = glance.tick() => {
                    let Some(changed) = changed_secrets(&house, &acted_on).await else { continue };
                    // Where the reload refuses them, it does so once.
                    acted_on = changed;
                    self.files.store(true, Ordering::Relaxed);
                }
                signalled = hangup.recv() => {
                    if signalled.is_none() { return }
                    self.files.store(true, Ordering::Relaxed);
                }
                changed = self.changes.recv(), if self._watcher.is_some() => {
                    if changed.is_none() { return }
                    settle(&mut self.changes).await;
                }
            }
            let reloading = Arc::clone(&house);
            let files = self.files.swap(false, Ordering::Relaxed);
            let done = tokio::task::spawn_blocking(move || {
                if files {
                    reload(&reloading);
                }
                reloading.decider.refresh();
            })
            .await;
            if let Err(error) = done {
                tracing::error!(%error, "the reload failed");
            }
        }
    }
}

/// The files of secrets as they are, where that is neither what runs nor `acted_on`, and no writer is at work on them.
async fn changed_secrets(house: &House, acted_on: &Secrets) -> Option<Secrets> {
    let live = house.decider.live.load_full();
    if live.secrets.is_empty() {
        return None;
    }
    let look = move |secrets: Secrets| tokio::task::spawn_blocking(move || secrets.again());
    let now = look(live.secrets.clone()).await.ok()?;
    if now == live.secrets || now == *acted_on {
        return None;
    }
    tokio::time::sleep(QUIET).await;
    let later = look(now.clone()).await.ok()?;
    (later == now).then_some(now)
}

async fn settle(changes: &mut mpsc::Receiver<()>) {
    while let Ok(Some(())) = tokio::time::timeout(QUIET, changes.recv()).await {}
}

fn reload(house: &House) {
    match house.reload() {
        Ok(()) => tracing::info!(revision = %house.decider.live.load().revision, "configuration reloaded"),
        Err(mistakes) => tracing::error!("configuration refused, the old one goes on:\n{mistakes}"),
    }
}

/// Watches the folders, not the files: editors replace files, and a watch on a file dies with it.
fn watcher(
    settings: &Settings,
    changed: mpsc::Sender<()>,
    files_changed: Arc<AtomicBool>,
) -> notify::Result<RecommendedWatcher> {
    let tasks = settings.files.state.join("tasks");
    let outcomes = settings.files.state.join("outcomes");
    let stores: Vec<PathBuf> = settings.stores.iter().filter_map(StoreSettings::folder).cloned().collect();
    for folder in [&tasks, &outcomes].into_iter().chain(&stores) {
        // A folder that is not there yet cannot be watched.
        std::fs::create_dir_all(folder)?;
    }
    let files = watched_files(settings);
    let mut folders: Vec<PathBuf> =
        files.iter().filter_map(|path| path.parent().map(Path::to_owned)).collect();
    folders.sort();
    folders.dedup();
    let tasks = tasks.canonicalize()?;
    folders.push(tasks.clone());
    // Only what lies in a store's folder itself: a generation appears there by one rename.
    let stores: Vec<PathBuf> = stores.iter().map(|folder| folder.canonicalize()).collect::<Result<_, _>>()?;
    let beside = stores.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let writes = !matches!(event.kind, notify::EventKind::Access(_));
        let configures = |path: &PathBuf| files.iter().any(|file| path.starts_with(file));
        let ours = |path: &PathBuf| is_generation(path, &stores) || is_standing(path, &tasks);
        let configuration = event.paths.iter().any(configures);
        if writes && (configuration || event.paths.iter().any(ours)) {
            files_changed.fetch_or(configuration, Ordering::Relaxed);
            // A change is waiting already where the channel is full.
            let _ = changed.try_send(());
        }
    })?;
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        watcher.watch(folder, RecursiveMode::Recursive)?;
    }
    for folder in &beside {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Whether a path is a whole generation of a store: not what is being built beside it.
fn is_generation(path: &Path, stores: &[PathBuf]) -> bool {
    path.parent().is_some_and(|folder| stores.iter().any(|store| store == folder))
        && path.file_name().and_then(OsStr::to_str).is_some_and(knowledge::is_generation)
}

/// Whether a path says which version of a task serves: not the labels and counts that the gateway itself writes.
fn is_standing(path: &Path, tasks: &Path) -> bool {
    path.starts_with(tasks) && path.file_name().is_some_and(|name| name == STANDING)
}

/// The files and folders whose change matters, by their true paths: what the watcher reports.
fn watched_files(settings: &Settings) -> Vec<PathBuf> {
    let paths = [
        settings.file.clone(),
        settings.files.policy.clone(),
        settings.files.models.clone(),
        settings.files.exemplars.clone(),
        settings.files.tasks.clone(),
        // Not the folder: the gateway itself writes feedback into it.
        settings.files.state.join("outcomes/router.json"),
    ];
    paths.iter().filter_map(|path| absolute(path)).collect()
}

/// The true path of a file that may not be there yet.
fn absolute(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(path.file_name()?))
}
