//! Folders whose documents are taken over as they change.

use std::path::PathBuf;
use std::sync::Arc;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::{Kept, Stores};

/// Watches the corpora of the stores that follow theirs, and has a first look at each. Watching ends when what this gives
/// is dropped.
pub(crate) fn watch(stores: &Stores) -> Vec<RecommendedWatcher> {
    let followed = stores.iter().filter(|kept| kept.settings.watch);
    let mut watchers = Vec::new();
    for kept in followed {
        match watcher(kept) {
            Ok(watcher) => watchers.push(watcher),
            Err(error) => tracing::warn!(
                store = %kept.settings.name, %error,
                "the corpus is not watched; run `pointsman index build` after a change"
            ),
        }
        kept.feeder.follow_corpus();
    }
    watchers
}

fn watcher(kept: &Arc<Kept>) -> notify::Result<RecommendedWatcher> {
    let told = Arc::clone(kept);
    let roots: Vec<PathBuf> =
        kept.settings.corpus.roots.iter().map(|root| root.canonicalize()).collect::<Result<_, _>>()?;
    let watched = roots.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let writes = !matches!(event.kind, notify::EventKind::Access(_));
        if writes && event.paths.iter().any(|path| roots.iter().any(|root| path.starts_with(root))) {
            told.feeder.follow_corpus();
        }
    })?;
    for root in &watched {
        // A watch on a file dies with it when an editor replaces it: its folder is watched.
        let folder = if root.is_dir() { Some(root.as_path()) } else { root.parent() };
        let depth = if root.is_dir() { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        if let Some(folder) = folder {
            watcher.watch(folder, depth)?;
        }
    }
    Ok(watcher)
}
