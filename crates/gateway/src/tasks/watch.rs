//! What is seen of a task while it serves: how its versions agree with the reference, whether its requests still look like
//! those it was trained on, whether its annotators agree with themselves, and what examples in prompts do.
//!
//! Owns the counts and keeps them across restarts. Refuses to act on an alarm: the clerk does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use learn::task::{AgreementWatch, DriftWatch, error_bound, trusted};
use serde::{Deserialize, Serialize};

use super::labels::{By, Label};
use super::version::{Issued, Version};
use crate::journal::write_whole;

/// How rarely a watch may cry without a reason: once in so many lives of a version.
const ALPHA: f64 = 0.01;
/// The confidence with which an annotator must agree with itself.
const CONFIDENCE: f64 = 0.95;
/// Requests in service that show what is usual.
const FIRST: usize = 300;
/// Versions whose counts are kept.
const VERSIONS_KEPT: usize = 8;
const FILE: &str = "watch.json";

/// Everything that is counted about a task.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Watch {
    pub(crate) versions: BTreeMap<u32, VersionWatch>,
    /// How often each model that labels gave the same answer when it was asked again.
    pub(crate) annotators: BTreeMap<String, Tally>,
    pub(crate) few: FewEffect,
    /// Examples at the last attempt to train, whether it came to a version or not.
    pub(crate) tried_with: usize,
}

/// How often something held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) asked: usize,
    pub(crate) agreed: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, agreed: bool) {
        self.asked += 1;
        self.agreed += usize::from(agreed);
    }

    pub(crate) fn share(self) -> Option<f64> {
        (self.asked > 0).then(|| self.agreed as f64 / self.asked as f64)
    }
}

/// One version while it serves.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct VersionWatch {
    /// Requests that it gave an opinion on, and those that its certificate covered.
    pub(crate) seen: u64,
    pub(crate) accepted: u64,
    /// Accepted answers that were compared with the reference's.
    pub(crate) audits: Tally,
    agreement: AgreementWatch,
    drift: DriftWatch,
    refusals: Refusals,
}

/// Requests that a certificate does not cover, against the share that was expected: what has changed in kind is often near
/// enough to the examples, but unsure.
#[derive(Debug, Serialize, Deserialize)]
struct Refusals {
    /// Against what the certificate promised.
    promised: AgreementWatch,
    /// The first requests in service, and how many of them were covered.
    first: Tally,
    /// Against what was usual then; it is the sharper one where traffic is easier than the labels were.
    usual: Option<AgreementWatch>,
}

impl Refusals {
    fn new(certificate: &Issued) -> Self {
        let promised = AgreementWatch::new(refused_at_most(certificate), ALPHA);
        Self { promised, first: Tally::default(), usual: None }
    }

    /// Takes in whether a request was covered; tells once where too few are.
    fn see(&mut self, covered: bool) -> bool {
        let promised = self.promised.see(!covered).is_some();
        if let Some(usual) = &mut self.usual {
            return usual.see(!covered).is_some() || promised;
        }
        self.first.add(covered);
        if self.first.asked == FIRST {
            let refused = error_bound(FIRST - self.first.agreed, FIRST, 1.0 - ALPHA);
            self.usual = Some(AgreementWatch::new((refused + 0.01).min(0.95), ALPHA));
        }
        promised
    }
}

impl VersionWatch {
    fn new(version: &Version) -> Self {
        Self {
            seen: 0,
            accepted: 0,
            audits: Tally::default(),
            agreement: AgreementWatch::new(version.certificate.level, ALPHA),
            drift: DriftWatch::new(ALPHA),
            refusals: Refusals::new(&version.certificate),
        }
    }
}

/// The share of requests that a certificate is expected not to cover: what it did not cover of the labels that it was tested
/// on, with three standard errors and a little room for what means no harm.
fn refused_at_most(certificate: &Issued) -> f64 {
    const ROOM: f64 = 0.05;
    let (covered, n) = (certificate.coverage, certificate.n.max(1) as f64);
    let error = (covered * (1.0 - covered) / n).sqrt();
    (1.0 - covered + 3.0 * error + ROOM).min(0.95)
}

/// What the examples in prompts do.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct FewEffect {
    pub(crate) with: Arm,
    pub(crate) without: Arm,
}

/// One arm of the comparison.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Arm {
    /// Answers, and those that were of the task's form.
    pub(crate) form: Tally,
    /// Answers that a person judged, and those that were right.
    pub(crate) judged: Tally,
    /// Prompt tokens in all.
    pub(crate) prompt_tokens: u64,
}

impl FewEffect {
    pub(crate) fn arm(&mut self, with_examples: bool) -> &mut Arm {
        if with_examples { &mut self.with } else { &mut self.without }
    }
}

impl Watch {
    /// Reads what was counted before; a file that cannot be read is begun anew.
    pub(crate) fn read(folder: &Path) -> Self {
        let read = fs::read(folder.join(FILE)).ok();
        read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Everything, as it lies on disk.
    pub(crate) fn written(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Keeps what [`Watch::written`] gave.
    pub(crate) fn write(folder: &Path, written: &[u8]) -> io::Result<()> {
        write_whole(&folder.join(FILE), |file| file.write_all(written))
    }

    fn of(&mut self, version: &Version) -> &mut VersionWatch {
        while self.versions.len() > VERSIONS_KEPT {
            self.versions.pop_first();
        }
        self.versions.entry(version.number).or_insert_with(|| VersionWatch::new(version))
    }

    /// A request that a version gave an opinion on; tells where its requests have become strange.
    pub(crate) fn see_request(
        &mut self,
        version: &Version,
        typicality: f32,
        accepted: bool,
    ) -> Option<String> {
        let watch = self.of(version);
        watch.seen += 1;
        watch.accepted += u64::from(accepted);
        if watch.refusals.see(accepted) {
            return Some(format!(
                "its certificate covers fewer requests than it did ({} of {} in all)",
                watch.accepted, watch.seen
            ));
        }
        let alarm = watch.drift.see(typicality)?;
        Some(format!(
            "its requests are no longer like its examples: after {} of them a change is {:.0} times likelier than chance",
            alarm.seen, alarm.evidence
        ))
    }

    /// An accepted answer that was compared with the reference's; tells where they disagree too often.
    pub(crate) fn see_audit(&mut self, version: &Version, agreed: bool) -> Option<String> {
        let watch = self.of(version);
        watch.audits.add(agreed);
        watch.agreement.see(!agreed)?;
        let Tally { asked, agreed } = watch.audits;
        Some(format!("{} of {asked} audited answers disagree with the reference", asked - agreed))
    }

    /// The models whose labels may be learnt from: with confidence they agree with themselves at least this often.
    pub(crate) fn trusted(&self, least: f64) -> Trust {
        if least <= 0.0 {
            return Trust::Everybody;
        }
        let sound = |tally: &Tally| trusted(tally.agreed, tally.asked, CONFIDENCE, least);
        let names = self.annotators.iter().filter(|(_, tally)| sound(tally)).map(|(name, _)| name.clone());
        Trust::Only(names.collect())
    }
}

/// Whose labels may be learnt from, and shown to other models.
#[derive(Debug)]
pub(crate) enum Trust {
    /// Nobody's self-agreement is asked for.
    Everybody,
    /// These models'.
    Only(BTreeSet<String>),
}

impl Trust {
    /// A person's and the operator's word always count, a model's where it is trusted.
    pub(crate) fn covers(&self, label: &Label) -> bool {
        match (self, label.by, &label.model) {
            (_, By::Human | By::Import, _) | (Self::Everybody, By::Model, _) => true,
            (Self::Only(models), By::Model, Some(model)) => models.contains(model),
            (Self::Only(_), By::Model, None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_requests_shows_in_what_is_refused() {
        let certificate = Issued {
            level: 0.05,
            confidence: 0.95,
            threshold: Some(0.5),
            coverage: 0.9,
            disagreement: 0.02,
            n: 1000,
            issued_at_ms: 0,
            expires_at_ms: u64::MAX,
            slices: Vec::new(),
        };
        let mut refusals = Refusals::new(&certificate);
        // One of 25 is refused, fewer than of the labels; then five of 25.
        assert!(!(0..5000).any(|request| refusals.see(request % 25 != 0)), "all is well");
        let noticed = (0..2000).position(|request| refusals.see(request % 5 != 0));
        assert!(noticed.is_some_and(|after| after < 300), "{noticed:?}");
    }
}
