//! A policy as the operator wrote it: every key optional, every value checked by itself.

use std::sync::Arc;
use std::time::Duration;

use api::{BrokenStream, Checks, Money, Track};

use super::{TRACKS, questions, targets};
use crate::catalogue::{ANY_TASK, Catalogue, Model, ModelKind};
use crate::file::{Field, Table, allowed};
use crate::flow::{Flow, Turn};
use crate::policy::{Otherwise, PerTrack, Policy, Shadowing, Yields};

const HOUR_MS: u64 = 3_600_000;

/// What a policy's table says.
pub(super) struct Written<'d> {
    pub(super) name: &'d str,
    field: Field<'d>,
    like: Option<(Field<'d>, &'d str)>,
    pub(super) flow: Option<Arc<Flow>>,
    pub(super) quality_floor: Option<f32>,
    pub(super) latency_budget: Option<Duration>,
    pub(super) cost_budget: Option<Money>,
    pub(super) on_budget_miss: Option<Yields>,
    pub(super) deadline: Option<Duration>,
    pub(super) attempts_max: Option<usize>,
    pub(super) on_broken_stream: Option<BrokenStream>,
    pub(super) cache_read: Option<bool>,
    pub(super) cache_write: Option<bool>,
    pub(super) private: Option<bool>,
    pub(super) private_data: Option<f32>,
    pub(super) store: Option<&'d str>,
    pub(super) passages_max: Option<usize>,
    pub(super) coverage_min: Option<f32>,
    pub(super) checked: Option<bool>,
    pub(super) passage_tokens: Option<u64>,
    pub(super) search: Option<Duration>,
    pub(super) task_in_distribution_min: Option<f32>,
    pub(super) checks: PerTrack<Option<Checks>>,
    /// Where the least confidence of each track stands.
    confidence: PerTrack<Option<Field<'d>>>,
    pub(super) shadow: Option<Shadowing>,
    shadow_field: Field<'d>,
    pub(super) reference: Option<Arc<Model>>,
    pub(super) targets: PerTrack<Option<Vec<Arc<Model>>>>,
    pub(super) escalate: PerTrack<Option<Vec<Track>>>,
    pub(super) when_unavailable: PerTrack<Option<Option<Otherwise>>>,
}

impl<'d> Written<'d> {
    /// Reads a policy's table, all but its end.
    pub(super) fn read(name: &'d str, field: Field<'d>, table: &Table<'d>, catalogue: &Catalogue) -> Self {
        let like = table.optional("like");
        let like = like.text().map(|wanted| (like, wanted));
        let cache = table.optional("cache").table();
        let cached = |key: &str| cache.as_ref().and_then(|table| table.optional(key).boolean());
        let (cache_read, cache_write) = (cached("read"), cached("write"));
        let retrieval = table.optional("retrieval").table();
        let of = |key: &str| retrieval.as_ref().map(|table| table.optional(key));
        let (checks, confidence) = checks(table);
        let shadow_field = table.optional("shadow");
        let written = Self {
            name,
            field,
            flow: flow(table, like.is_some(), catalogue),
            like,
            quality_floor: table.optional("quality_floor").probability(),
            latency_budget: table.optional("latency_budget_ms").duration_ms(1..=HOUR_MS),
            cost_budget: table.optional("cost_budget_usd").money_usd(),
            on_budget_miss: table.optional("on_budget_miss").one_of(&[
                ("cost", Yields::Cost),
                ("latency", Yields::Latency),
                ("quality", Yields::Quality),
                ("refuse", Yields::Refuse),
            ]),
            deadline: table.optional("deadline_ms").duration_ms(1..=HOUR_MS),
            attempts_max: table.optional("attempts_max").integer(1..=10).map(count),
            on_broken_stream: table.optional("on_broken_stream").one_of(&[
                ("tell", BrokenStream::Tell),
                ("hold", BrokenStream::Hold),
                ("resume", BrokenStream::Resume),
            ]),
            cache_read,
            cache_write,
            private: table.optional("private").boolean(),
            private_data: table.optional("private_data").probability(),
            passages_max: of("passages_max").and_then(|field| field.integer(1..=100)).map(count),
            store: of("store").and_then(|field| field.text()),
            coverage_min: of("coverage_min").and_then(|field| field.probability()),
            checked: of("checked").and_then(|field| field.boolean()),
            passage_tokens: of("passage_tokens").and_then(|field| field.integer(1..=10_000)),
            search: of("search_ms").and_then(|field| field.duration_ms(0..=60_000)),
            task_in_distribution_min: table.optional("task_in_distribution_min").probability(),
            checks,
            confidence,
            shadow: shadow(&shadow_field, catalogue),
            shadow_field,
            reference: reference(&table.optional("reference_model"), catalogue),
            targets: targets(table, catalogue),
            escalate: escalate(table),
            when_unavailable: when_unavailable(table),
        };
        for table in [cache, retrieval].into_iter().flatten() {
            table.finish();
        }
        written
    }

    /// The policy that this one is like; one that is itself like another has not said everything.
    pub(super) fn like<'w>(&self, all: &'w [Self]) -> Option<&'w Self> {
        let (field, wanted) = self.like.as_ref()?;
        match all.iter().find(|policy| policy.name == *wanted) {
            Some(base) if base.like.is_none() => Some(base),
            Some(_) => {
                field.wrong(format!("`{wanted}` is like another policy itself; name that one"));
                None
            }
            None => {
                let names = all.iter().filter(|policy| policy.like.is_none()).map(|policy| policy.name);
                field.wrong(format!("there is no [policy.{wanted}]{}", allowed(wanted, names)));
                None
            }
        }
    }

    /// Notes checks that no target can pass or fail, and a shadow that no request casts.
    pub(super) fn check_second_opinions(&self, whole: &Policy) {
        for track in Track::ALL {
            let sure = whole.checks.of(*track).confidence_min.is_some();
            let named = whole.flow.ends().filter(|end| end.track == *track);
            let named = named.filter_map(|end| end.targets.as_deref()).flatten();
            if sure && !whole.targets.of(*track).iter().chain(named).any(|model| model.supports.logprobs) {
                let message = format!(
                    "confidence is read from log-probabilities, and no model in `targets.{track}` gives them: name one \
                     whose `supports` has logprobs, or leave `confidence_min` out of `check.{track}`"
                );
                self.confidence.of(*track).as_ref().unwrap_or(&self.field).wrong(message);
            }
        }
        if self.shadow.is_some() && whole.rules.privacy.always {
            self.shadow_field
                .wrong("every request under this policy is private, and a private request has no shadow");
        }
    }

    /// Notes a mistake of the policy as a whole.
    pub(super) fn wrong(&self, message: String) {
        self.field.wrong(message);
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The questions, or the `track` of a policy that asks none.
fn flow(table: &Table<'_>, has_base: bool, catalogue: &Catalogue) -> Option<Arc<Flow>> {
    let tables = table.optional("question").tables();
    let track = table.optional("track");
    let straight = track.one_of(TRACKS);
    match (tables.is_empty(), straight) {
        (true, Some(track)) => Some(Arc::new(Flow { start: Turn::from(track), questions: Vec::new() })),
        (true, None) => {
            if !has_base && !track.is_given() {
                table.wrong(
                    "this policy leads nowhere: ask questions in [[policy.NAME.question]], or give `track`, or take \
                     both from another policy by `like`",
                );
            }
            None
        }
        (false, Some(_)) => {
            track.wrong("a policy has a `track` or questions, not both");
            None
        }
        (false, None) => questions::read(tables, catalogue).map(Arc::new),
    }
}

fn reference(field: &Field<'_>, catalogue: &Catalogue) -> Option<Arc<Model>> {
    let wanted = field.text()?;
    let found = catalogue.get(wanted).filter(|model| !matches!(model.kind, ModelKind::Task));
    if found.is_none() {
        field.wrong(format!("there is no model `{wanted}`{}", allowed(wanted, catalogue.names())));
    }
    found.cloned()
}

/// `check.local = { ... }` and the other two, with the places of their least confidences.
fn checks<'d>(table: &Table<'d>) -> (PerTrack<Option<Checks>>, PerTrack<Option<Field<'d>>>) {
    let found = per_track(table, "check", |field, _| {
        let table = field.table()?;
        let switch = |key: &str, default: bool| table.optional(key).boolean().unwrap_or(default);
        let confidence = table.optional("confidence_min");
        let (standard, confidence_min) = (Checks::default(), confidence.probability());
        let checks = Checks {
            contract: switch("contract", standard.contract),
            whole: switch("whole", standard.whole),
            repetition: switch("repetition", standard.repetition),
            confidence_min,
        };
        table.finish();
        Some((checks, confidence))
    });
    let checks = PerTrack(found.0.each_ref().map(|one| one.as_ref().map(|(checks, _)| *checks)));
    (checks, PerTrack(found.0.map(|one| one.map(|(_, confidence)| confidence))))
}

/// `shadow = { model, share, usd_per_day }`; every key must be there: what goes out unseen has a limit.
fn shadow(field: &Field<'_>, catalogue: &Catalogue) -> Option<Shadowing> {
    let table = field.table()?;
    let name = table.required("model");
    let model = name.text().and_then(|wanted| {
        let known = catalogue.get(wanted).filter(|model| !model.is_built_in());
        if known.is_none() {
            let message = match wanted == ANY_TASK || catalogue.get(wanted).is_some() {
                true => format!("`{wanted}` is built in: a shadow is a model of models.toml"),
                false => format!("there is no model `{wanted}`{}", allowed(wanted, catalogue.names())),
            };
            name.wrong(message);
        }
        known.cloned()
    });
    let (share, usd_per_day) =
        (table.required("share").probability(), table.required("usd_per_day").money_usd());
    table.finish();
    Some(Shadowing { model: model?, share: share?, usd_per_day: usd_per_day? })
}

/// `targets.local = [...]` and the other two.
fn targets(table: &Table<'_>, catalogue: &Catalogue) -> PerTrack<Option<Vec<Arc<Model>>>> {
    per_track(table, "targets", |field, track| Some(targets::list(field, track, catalogue)))
}

/// Where a plan goes on when the targets of a track fail or are not good enough. A plan is grounded as a whole or
/// not at all, so nothing goes on to retrieval.
fn escalate(table: &Table<'_>) -> PerTrack<Option<Vec<Track>>> {
    per_track(table, "escalate", |field, from| {
        let choices: Vec<(&str, Track)> = TRACKS
            .iter()
            .copied()
            .filter(|(_, track)| *track != from && *track != Track::Retrieval)
            .collect();
        let mut tracks = Vec::new();
        for item in field.text_list() {
            match choices.iter().find(|(name, _)| *name == item.text) {
                Some((_, track)) if !tracks.contains(track) => tracks.push(*track),
                Some(_) => item.wrong("this track is in the list twice"),
                None => {
                    let hint = allowed(item.text, choices.iter().map(|(name, _)| *name));
                    item.wrong(format!("a plan cannot go on from {from} to `{}`{hint}", item.text));
                }
            }
        }
        Some(tracks)
    })
}

fn when_unavailable(table: &Table<'_>) -> PerTrack<Option<Option<Otherwise>>> {
    per_track(table, "when_unavailable", |field, from| {
        let others = TRACKS.iter().filter(|(_, track)| *track != from);
        let choices: Vec<(&str, Otherwise)> = others
            .map(|(name, track)| (*name, Otherwise::Track(*track)))
            .chain([("refuse", Otherwise::Refuse)])
            .collect();
        field.one_of(&choices).map(Some)
    })
}

/// One value for each track out of the table `key`.
fn per_track<'d, T>(
    table: &Table<'d>,
    key: &str,
    read: impl Fn(&Field<'d>, Track) -> Option<T>,
) -> PerTrack<Option<T>> {
    let inner = table.optional(key).table();
    let one = |track: Track| {
        let field = inner.as_ref().map(|table| table.optional(track.name()))?;
        if field.is_given() { read(&field, track) } else { None }
    };
    let values = [one(Track::Local), one(Track::Retrieval), one(Track::External)];
    if let Some(inner) = inner {
        inner.finish();
    }
    PerTrack(values)
}
