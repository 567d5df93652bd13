//! Lists of targets: that every name is there, and on a track where it can answer.

use std::sync::Arc;

use api::Track;

use crate::catalogue::{ANY_TASK, Catalogue, EXTRACTIVE, Model, ModelKind, TASK_PREFIX};
use crate::file::{Field, Item, allowed};

/// The targets that `field` names for a track.
pub(super) fn list(field: &Field<'_>, track: Track, catalogue: &Catalogue) -> Vec<Arc<Model>> {
    let mut models: Vec<Arc<Model>> = Vec::new();
    for item in field.text_list() {
        let Some(model) = target(&item, track, catalogue) else { continue };
        if models.iter().any(|known| known.name == model.name) {
            item.wrong(format!("`{}` is in this list twice", item.text));
        }
        models.push(model);
    }
    models
}

fn target(item: &Item<'_>, track: Track, catalogue: &Catalogue) -> Option<Arc<Model>> {
    let model = match item.text.strip_prefix(TASK_PREFIX) {
        Some(name) => Some(Arc::new(catalogue.task().as_task(name))),
        None if item.text == ANY_TASK => Some(Arc::clone(catalogue.task())),
        None => catalogue.get(item.text).cloned(),
    };
    let Some(model) = model else {
        let names = [ANY_TASK, EXTRACTIVE].into_iter().chain(catalogue.names());
        item.wrong(format!("there is no model `{}`{}", item.text, allowed(item.text, names)));
        return None;
    };
    let misplaced = match (&model.kind, track) {
        (ModelKind::Extractive, Track::Local | Track::External) => {
            Some("quotes passages: it belongs into `targets.retrieval`")
        }
        (ModelKind::Task, Track::Retrieval | Track::External) => {
            Some("answers with a label: it belongs into `targets.local`")
        }
        (_, Track::Local) if model.track != Track::Local => Some(
            "is not on this host: put it into `targets.external`, or give it `track = \"local\"` in models.toml if \
             its server is yours",
        ),
        _ => None,
    };
    if let Some(reason) = misplaced {
        item.wrong(format!("`{}` {reason}", item.text));
    }
    Some(model)
}
