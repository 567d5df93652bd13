//! What became of each request, added up over stretches of the journey.

use std::fmt::Write as _;

use crate::traffic::Asked;

/// What became of one request.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) asked: Asked,
    /// It was answered on this host.
    pub(crate) local: bool,
    /// The answer is the truth.
    pub(crate) right: bool,
    pub(crate) usd: f64,
    /// Calls that had reached the large model by then, those for audits included.
    pub(crate) calls: usize,
}

/// Something that happened to the task, and after how many requests that was seen.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    pub(crate) after: usize,
    pub(crate) what: String,
    pub(crate) why: String,
}

/// Sums over some requests.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) count: usize,
    pub(crate) right: usize,
    pub(crate) usd: f64,
}

impl Sums {
    pub(crate) fn of<'s>(served: impl Iterator<Item = &'s Served>) -> Self {
        served.fold(Self::default(), |sums, served| Self {
            count: sums.count + 1,
            right: sums.right + usize::from(served.right),
            usd: sums.usd + served.usd,
        })
    }

    /// `None` where there is nothing.
    pub(crate) fn agreement(self) -> Option<f64> {
        (self.count > 0).then(|| self.right as f64 / self.count as f64)
    }
}

/// A share as a table shows it.
pub(crate) fn shown(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{share:.3}"))
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The journey, a row for every `stretch` requests.
pub(crate) fn table(journey: &[Served], happened: &[Happened], stretch: usize) -> String {
    let mut text = format!(
        "{:>8}{:>8}{:>12}{:>12}{:>10}{:>10}{:>12}{:>8}  events\n",
        "requests", "local", "USD", "USD in all", "local ok", "new ok*", "all ok", "calls"
    );
    let mut usd = 0.0;
    let mut calls = 0;
    for (place, served) in journey.chunks(stretch).enumerate() {
        let end = place * stretch + served.len();
        let all = Sums::of(served.iter());
        let local = Sums::of(served.iter().filter(|served| served.local));
        let new = Sums::of(served.iter().filter(|served| served.local && served.asked.first));
        usd += all.usd;
        let calls_by_then = served.last().map_or(calls, |served| served.calls);
        let _ = writeln!(
            text,
            "{end:>8}{:>8}{:>12.6}{usd:>12.6}{:>10}{:>10}{:>12}{:>8}  {}",
            shown(share(local.count, served.len())),
            all.usd,
            shown(local.agreement()),
            shown(new.agreement()),
            shown(all.agreement()),
            calls_by_then - calls,
            names(happened, place * stretch, end),
        );
        calls = calls_by_then;
    }
    text + "* of the messages that were sent for the first time\n"
}

/// From the change on: what became of the intents that were never asked for before.
pub(crate) fn table_of_unseen(
    journey: &[Served],
    happened: &[Happened],
    change_at: usize,
    stretch: usize,
) -> String {
    let mut text = format!(
        "{:>8}{:>8}{:>16}{:>16}{:>12}{:>12}  events\n",
        "requests", "unseen", "wrongly local", "of the unseen", "in all", "known local"
    );
    let mut in_all = 0;
    for (place, served) in journey[change_at.min(journey.len())..].chunks(stretch).enumerate() {
        let start = change_at + place * stretch;
        let unseen: Vec<&Served> = served.iter().filter(|served| served.asked.unseen).collect();
        let wrong = unseen.iter().filter(|served| served.local && !served.right).count();
        let known: Vec<&Served> = served.iter().filter(|served| !served.asked.unseen).collect();
        let known_local = known.iter().filter(|served| served.local).count();
        in_all += wrong;
        let _ = writeln!(
            text,
            "{:>8}{:>8}{wrong:>16}{:>16}{in_all:>12}{:>12}  {}",
            start + served.len(),
            unseen.len(),
            shown(share(wrong, unseen.len())),
            shown(share(known_local, known.len())),
            names(happened, start, start + served.len()),
        );
    }
    text
}

/// The events of a stretch, in short.
fn names(happened: &[Happened], start: usize, end: usize) -> String {
    let within = happened.iter().filter(|event| event.after > start && event.after <= end);
    within.map(|event| format!("{}@{}", event.what, event.after)).collect::<Vec<_>>().join(" ")
}

/// Every request in a line.
pub(crate) fn csv(journey: &[Served]) -> String {
    let mut text = "request,label,unseen,first,local,right,usd,calls\n".to_owned();
    for (number, served) in journey.iter().enumerate() {
        let Served { asked, local, right, usd, calls } = served;
        let _ = writeln!(
            text,
            "{},{},{},{},{local},{right},{usd:.9},{calls}",
            number + 1,
            asked.label,
            asked.unseen,
            asked.first
        );
    }
    text
}
