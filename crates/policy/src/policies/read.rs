//! From the text of `policy.toml` to [`Policies`]: first each policy as it is written, then with what it takes over
//! from another.

mod questions;
mod targets;
mod written;

use std::sync::Arc;
use std::time::Duration;

use api::{CacheUse, DEFAULT_STORE, Track};

use self::written::Written;
use super::{AUTO, Guarded, Policies};
use crate::catalogue::Catalogue;
use crate::file::{Document, Field, Mistakes, Table, allowed};
use crate::flow::{End, Flow, Turn};
use crate::policy::{Otherwise, PerTrack, Policy, Privacy, Retrieval, Rules, Yields};

pub(super) const TRACKS: &[(&str, Track)] =
    &[("local", Track::Local), ("retrieval", Track::Retrieval), ("external", Track::External)];

/// Reads the whole file.
pub(super) fn policies(file: &str, text: &str, catalogue: &Catalogue) -> Result<Policies, Mistakes> {
    let document = Document::parse(file, text)?;
    let root = document.root();
    let default = root.required("default");
    let privacy = privacy(&root);
    let written = all_written(&root, catalogue);
    let whole = |policy: &Written<'_>| {
        let base = policy.like(&written);
        Arc::new(complete(policy, base, privacy))
    };
    let all: Vec<Arc<Policy>> = written.iter().map(whole).collect();
    let default = chosen(&default, &all);
    root.finish();
    let default = document.accept(default)?;
    let guarded = guarded(&all);
    Ok(Policies { all, guarded, default, catalogue: catalogue.clone() })
}

/// Each policy under the privacy of each other one that keeps more requests on this host than it does itself.
fn guarded(all: &[Arc<Policy>]) -> Vec<Guarded> {
    let mut found = Vec::new();
    for (chosen, standing) in all.iter().flat_map(|chosen| all.iter().map(move |standing| (chosen, standing)))
    {
        let privacy = chosen.rules.privacy.and(standing.rules.privacy);
        if privacy != chosen.rules.privacy {
            let rules = Rules { privacy, ..chosen.rules.clone() };
            let policy = Arc::new(Policy { rules, ..Policy::clone(chosen) });
            found.push(Guarded { standing: Arc::clone(&standing.name), policy });
        }
    }
    found
}

/// The rule that no policy can loosen: a caller who may choose the policy must not choose its privacy with it.
fn privacy(root: &Table<'_>) -> Privacy {
    let table = root.optional("privacy").table();
    let take = |key: &str| table.as_ref().map(|table| table.optional(key));
    let private_data = take("private_data").and_then(|field| field.probability());
    let named_models = take("named_models").and_then(|field| field.boolean()).unwrap_or(true);
    if let Some(table) = table {
        table.finish();
    }
    Privacy { always: false, private_data, named_models }
}

fn all_written<'d>(root: &Table<'d>, catalogue: &Catalogue) -> Vec<Written<'d>> {
    let Some(table) = root.required("policy").table() else { return Vec::new() };
    let mut all = Vec::new();
    for entry in table.entries() {
        check_name(entry.name, &entry.field, catalogue);
        if let Some(table) = entry.field.table() {
            all.push(Written::read(entry.name, entry.field, &table, catalogue));
            table.finish();
        }
    }
    all
}

/// A policy's name stands where a model's may: it must not hide one.
fn check_name(name: &str, field: &Field<'_>, catalogue: &Catalogue) {
    if name == "direct" || catalogue.get(name).is_some() {
        field.wrong(format!(
            "`{name}` already names something else that a request may ask for; choose another"
        ));
    }
    let proper = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.chars().all(proper) {
        field.wrong(
            "a policy's name is made of letters, digits, `-`, `_` and `.`: it stands in headers and metrics",
        );
    }
}

fn chosen(field: &Field<'_>, all: &[Arc<Policy>]) -> Option<Arc<Policy>> {
    let wanted = field.text()?;
    let found = all.iter().find(|policy| &*policy.name == wanted);
    if found.is_none() {
        let names = all.iter().map(|policy| &*policy.name);
        field.wrong(format!("there is no [policy.{wanted}]{}", allowed(wanted, names)));
    }
    let auto = all.iter().find(|policy| &*policy.name == AUTO);
    if let (Some(_), true) = (auto, wanted != AUTO) {
        // `model: "auto"` means the default: a policy of that name which is not the default would never be reached.
        field.wrong("there is a [policy.auto], so the default must be `auto`");
    }
    found.cloned()
}

/// A policy with everything that it does not say itself taken from `base`, and from the defaults after that.
fn complete(policy: &Written<'_>, base: Option<&Written<'_>>, privacy: Privacy) -> Policy {
    let pick = Pick { policy, base };
    let whole = Policy {
        name: Arc::from(policy.name),
        flow: pick.cloned(|written| written.flow.as_ref()).unwrap_or_else(|| Arc::new(nowhere())),
        rules: Rules {
            quality_floor: pick.copied(|written| written.quality_floor).unwrap_or(0.5),
            latency_budget: pick.copied(|written| written.latency_budget),
            cost_budget: pick.copied(|written| written.cost_budget),
            on_budget_miss: pick.copied(|written| written.on_budget_miss).unwrap_or(Yields::Quality),
            deadline: pick.copied(|written| written.deadline).unwrap_or(Duration::from_secs(120)),
            attempts_max: pick.copied(|written| written.attempts_max).unwrap_or(3),
            on_broken_stream: pick.copied(|written| written.on_broken_stream).unwrap_or_default(),
            cache: CacheUse {
                read: pick.copied(|written| written.cache_read).unwrap_or(true),
                write: pick.copied(|written| written.cache_write).unwrap_or(true),
            },
            privacy: privacy.and(Privacy {
                always: pick.copied(|written| written.private).unwrap_or(false),
                private_data: pick.copied(|written| written.private_data),
                named_models: false,
            }),
            retrieval: Retrieval {
                store: pick.copied(|written| written.store).unwrap_or(DEFAULT_STORE).into(),
                checked: pick.copied(|written| written.checked).unwrap_or(true),
                passages_max: pick.copied(|written| written.passages_max).unwrap_or(6),
                coverage_min: pick.copied(|written| written.coverage_min),
                passage_tokens: pick.copied(|written| written.passage_tokens).unwrap_or(200),
                search: pick.copied(|written| written.search).unwrap_or(Duration::from_millis(20)),
            },
            task_in_distribution_min: pick.copied(|written| written.task_in_distribution_min).unwrap_or(0.5),
        },
        targets: pick.tracks(|written| &written.targets),
        escalate: pick.tracks(|written| &written.escalate),
        when_unavailable: PerTrack(
            pick.tracks(|written| &written.when_unavailable)
                .0
                .map(|given: Option<_>| given.unwrap_or(Otherwise::Refuse)),
        ),
        checks: pick.tracks(|written| &written.checks),
        shadow: pick.cloned(|written| written.shadow.as_ref()),
        reference: pick.cloned(|written| written.reference.as_ref()),
    };
    check_tracks(policy, &whole);
    policy.check_second_opinions(&whole);
    whole
}

/// Takes from the policy, else from the one it is like.
struct Pick<'p, 'd> {
    policy: &'p Written<'d>,
    base: Option<&'p Written<'d>>,
}

impl<'p, 'd> Pick<'p, 'd> {
    fn copied<T: Copy>(&self, take: impl Fn(&Written<'d>) -> Option<T>) -> Option<T> {
        take(self.policy).or_else(|| self.base.and_then(take))
    }

    fn cloned<T: Clone + 'p>(&self, take: impl Fn(&'p Written<'d>) -> Option<&'p T>) -> Option<T> {
        take(self.policy).or_else(|| self.base.and_then(take)).cloned()
    }

    fn tracks<T: Clone + Default + 'p>(
        &self,
        take: impl Fn(&'p Written<'d>) -> &'p PerTrack<Option<T>>,
    ) -> PerTrack<T> {
        let one = |track: Track| {
            let own = take(self.policy).of(track).clone();
            own.or_else(|| self.base.and_then(|base| take(base).of(track).clone())).unwrap_or_default()
        };
        PerTrack([one(Track::Local), one(Track::Retrieval), one(Track::External)])
    }
}

fn nowhere() -> Flow {
    Flow { start: Turn::from(Track::External), questions: Vec::new() }
}

/// Every track that a request can come to needs a target: its own, or those that the question before it names.
fn check_tracks(written: &Written<'_>, policy: &Policy) {
    let (named, unnamed): (Vec<&End>, Vec<&End>) = policy.flow.ends().partition(|end| end.targets.is_some());
    // Tracks whose own targets are asked for.
    let mut reached: Vec<Track> = unnamed.iter().map(|end| end.track).collect();
    // Tracks that another may follow.
    let mut left: Vec<Track> = named.iter().map(|end| end.track).chain(reached.iter().copied()).collect();
    let mut place = 0;
    while let Some(track) = left.get(place).copied() {
        let next = policy.escalate.of(track).iter().copied();
        let otherwise = match policy.when_unavailable.of(track) {
            Otherwise::Track(track) => Some(*track),
            Otherwise::Refuse => None,
        };
        for track in next.chain(otherwise) {
            reached.push(track);
            if !left.contains(&track) {
                left.push(track);
            }
        }
        place += 1;
    }
    let empty = |track: Track| policy.targets.of(track).is_empty();
    for track in Track::ALL.iter().filter(|track| reached.contains(track) && empty(**track)) {
        written.wrong(format!("requests can come to the {track} track, but `targets.{track}` names nobody"));
    }
}
