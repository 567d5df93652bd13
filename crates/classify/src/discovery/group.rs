//! Requests that may be of one task: their samples, the templates inferred from them, and their answers.

use std::collections::{BTreeMap, BTreeSet};

use api::Template;
use serde::{Deserialize, Serialize};

use super::answers::{Answers, LABEL_BYTES_MAX, LABELS_MAX};
use super::{REQUEST_BYTES_MAX, Seen, keys};

/// Samples of a group: templates are inferred from all of them, so more make a better template and a slower one.
const SAMPLES_MAX: usize = 16;
/// The first so many are kept as they come; the others only because they did not fit.
const SAMPLES_FIRST: usize = 8;
/// Bytes of all samples of a group.
const SAMPLES_BYTES_MAX: usize = 3 * REQUEST_BYTES_MAX;
/// Requests that did not fit, for each of which the templates were inferred anew.
const MISFITS_MAX: u32 = 32;
/// Less fixed text tells too little of what is asked for.
const FIXED_BYTES_MIN: usize = 20;
const FIXED_WORDS_MIN: usize = 4;
const INPUTS_MAX: usize = 64;
const MODELS_MAX: usize = 16;
const NAME_BYTES_MAX: usize = 128;

/// Samples, templates, answers, inputs, models and the tenant.
pub(super) const BYTES_MAX: usize = SAMPLES_BYTES_MAX
    + 2 * REQUEST_BYTES_MAX
    + (2 * LABELS_MAX + 1) * LABEL_BYTES_MAX
    + INPUTS_MAX * size_of::<u64>()
    + (MODELS_MAX + 1) * NAME_BYTES_MAX;

/// By which text requests are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Face {
    System,
    User,
}

/// What the prompts of a group are made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Forms {
    /// `None` where no request has a system prompt.
    pub(super) system: Option<Template>,
    /// `None` where messages are the input as a whole.
    pub(super) user: Option<Template>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Sample {
    system: Option<String>,
    user: String,
}

impl Sample {
    fn of(seen: &Seen<'_>) -> Self {
        Self { system: seen.system.map(str::to_owned), user: seen.user.to_owned() }
    }

    fn bytes(&self) -> usize {
        self.system.as_ref().map_or(0, String::len) + self.user.len()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Group {
    /// The key that opened it.
    pub(super) id: u64,
    pub(super) face: Face,
    pub(super) tenant: String,
    pub(super) narrow: [u64; 2],
    samples: Vec<Sample>,
    /// From the third sample on.
    pub(super) forms: Option<Forms>,
    pub(super) answers: Answers,
    /// Hashes of different inputs, as far as there is room.
    pub(super) inputs: BTreeSet<u64>,
    models: BTreeMap<String, u64>,
    misfits: u32,
    /// No task: what it was is forgotten, and its key is not followed any more.
    pub(super) hopeless: bool,
    /// The number of the request that it was met with last.
    pub(super) met_at: u64,
}

impl Group {
    pub(super) fn new(id: u64, face: Face, narrow: [u64; 2], tenant: &str) -> Self {
        Self {
            id,
            face,
            tenant: tenant.to_owned(),
            narrow,
            samples: Vec::new(),
            forms: None,
            answers: Answers::default(),
            inputs: BTreeSet::new(),
            models: BTreeMap::new(),
            misfits: 0,
            hopeless: false,
            met_at: 0,
        }
    }

    /// Whether a request is made from the templates; not before there are some.
    pub(super) fn fits(&self, seen: &Seen<'_>) -> bool {
        self.forms.as_ref().is_some_and(|forms| forms.fit(seen.system, seen.user))
    }

    /// Whether a request with the group's key belongs to it, which may change its templates.
    pub(super) fn takes(&mut self, seen: &Seen<'_>) -> bool {
        if self.hopeless {
            return false;
        }
        match &self.forms {
            Some(_) if self.fits(seen) => {
                if self.samples.len() < SAMPLES_FIRST {
                    self.keep(Sample::of(seen));
                }
                true
            }
            Some(_) => self.adapts(seen),
            None => {
                self.keep(Sample::of(seen));
                if self.samples.len() >= 3 {
                    self.forms = Forms::infer(self.face, &self.samples);
                    if self.forms.is_none() {
                        self.give_up();
                    }
                }
                !self.hopeless
            }
        }
    }

    /// Counts a request that belongs to the group.
    pub(super) fn count(&mut self, seen: &Seen<'_>, now: u64) {
        self.met_at = now;
        self.answers.count(seen.answer);
        if self.inputs.len() < INPUTS_MAX {
            self.inputs.insert(keys::of_input(seen.user));
        }
        let known = self.models.contains_key(seen.model);
        if known || (self.models.len() < MODELS_MAX && seen.model.len() <= NAME_BYTES_MAX) {
            *self.models.entry(seen.model.to_owned()).or_default() += 1;
        }
        if self.answers.is_hopeless() {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        let met_at = self.met_at;
        *self = Self { hopeless: true, met_at, ..Self::new(self.id, self.face, self.narrow, &self.tenant) };
    }

    /// Keeps a sample, in the place of others where there is no room.
    fn keep(&mut self, sample: Sample) {
        make_room(&mut self.samples, &sample);
        self.samples.push(sample);
    }

    /// Infers the templates anew with a request that does not fit them. Kept only where they still say most of what they
    /// said before: otherwise the request is of another task.
    fn adapts(&mut self, seen: &Seen<'_>) -> bool {
        if self.misfits >= MISFITS_MAX {
            return false;
        }
        self.misfits += 1;
        let sample = Sample::of(seen);
        let mut samples = self.samples.clone();
        make_room(&mut samples, &sample);
        samples.push(sample);
        let forms = Forms::infer(self.face, &samples);
        let Some(forms) = forms.filter(|forms| forms.fixed_bytes(self.face) * 2 >= self.fixed_bytes()) else {
            return false;
        };
        self.forms = Some(forms);
        self.samples = samples;
        true
    }

    /// Bytes of fixed text by which the group tells its requests.
    pub(super) fn fixed_bytes(&self) -> usize {
        self.forms.as_ref().map_or(0, |forms| forms.fixed_bytes(self.face))
    }

    /// Whether two groups look as if they were of one task.
    pub(super) fn may_join(&self, other: &Self) -> bool {
        let same_end = self.narrow.iter().zip(&other.narrow).any(|(own, other)| own == other);
        self.face == other.face
            && self.tenant == other.tenant
            && !self.hopeless
            && !other.hopeless
            && same_end
            && other.answers.requests() >= SAMPLES_FIRST as u64
            && self.answers.overlap(&other.answers)
    }

    /// The samples and templates of two groups together; `None` where they have too little in common.
    pub(super) fn joint(&self, other: &Self) -> Option<(Vec<Sample>, Forms)> {
        let mut samples: Vec<Sample> = Vec::new();
        let half = |group: &Self| group.samples.iter().take(SAMPLES_MAX / 2).cloned().collect::<Vec<_>>();
        for sample in half(self).into_iter().zip(half(other)).flat_map(|(own, other)| [own, other]) {
            if samples.iter().map(Sample::bytes).sum::<usize>() + sample.bytes() <= SAMPLES_BYTES_MAX {
                samples.push(sample);
            }
        }
        let forms = Forms::infer(self.face, &samples)?;
        let least = self.fixed_bytes().min(other.fixed_bytes());
        (forms.fixed_bytes(self.face) * 10 >= least * 7).then_some((samples, forms))
    }

    /// Takes over another group of the same task.
    pub(super) fn absorb(&mut self, other: &Self, samples: Vec<Sample>, forms: Forms) {
        self.samples = samples;
        self.forms = Some(forms);
        self.answers.absorb(&other.answers);
        let room = INPUTS_MAX - self.inputs.len();
        self.inputs.extend(other.inputs.iter().take(room));
        for (model, times) in &other.models {
            if self.models.contains_key(model) || self.models.len() < MODELS_MAX {
                *self.models.entry(model.clone()).or_default() += times;
            }
        }
        self.met_at = self.met_at.max(other.met_at);
    }

    /// Whether every sample fits another group.
    pub(super) fn samples_fit(&self, other: &Self) -> bool {
        let Some(forms) = &other.forms else { return false };
        self.samples.iter().all(|sample| forms.fit(sample.system.as_deref(), &sample.user))
    }

    /// The different inputs of the samples.
    pub(super) fn sample_inputs(&self) -> Vec<&str> {
        let template = self.forms.as_ref().and_then(|forms| forms.user.as_ref());
        let mut inputs = Vec::new();
        for sample in &self.samples {
            let input =
                template.and_then(|template| template.input(&sample.user)).unwrap_or(&sample.user).trim();
            if !inputs.contains(&input) {
                inputs.push(input);
            }
        }
        inputs
    }

    /// Who answered, the most frequent first.
    pub(super) fn models(&self) -> Vec<String> {
        let mut models: Vec<(&String, &u64)> = self.models.iter().collect();
        models.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        models.into_iter().map(|(model, _)| model.clone()).collect()
    }

    pub(super) fn bytes(&self) -> usize {
        let forms = self.forms.as_ref().map_or(0, |forms| {
            [&forms.system, &forms.user]
                .into_iter()
                .flatten()
                .map(|template| template.to_string().len())
                .sum()
        });
        self.samples.iter().map(Sample::bytes).sum::<usize>()
            + forms
            + self.answers.bytes()
            + self.inputs.len() * size_of::<u64>()
            + self.models.keys().map(String::len).sum::<usize>()
            + self.tenant.len()
    }
}

/// Drops samples until one more may be kept: the one that was kept longest, but for the first two.
fn make_room(samples: &mut Vec<Sample>, sample: &Sample) {
    let bytes = |samples: &[Sample]| samples.iter().map(Sample::bytes).sum::<usize>();
    while samples.len() >= SAMPLES_MAX
        || (samples.len() > 2 && bytes(samples) + sample.bytes() > SAMPLES_BYTES_MAX)
    {
        samples.remove(2);
    }
}

impl Forms {
    /// From at least 3 samples; `None` where the text that the face is about has too little in common.
    fn infer(face: Face, samples: &[Sample]) -> Option<Self> {
        let systems: Vec<&str> = samples.iter().filter_map(|sample| sample.system.as_deref()).collect();
        let system = match systems.len() {
            0 => None,
            some if some == samples.len() => Some(common(&systems)?.without_input()),
            _ => return None,
        };
        let users: Vec<&str> = samples.iter().map(|sample| sample.user.as_str()).collect();
        let user = common(&users).filter(Template::has_input);
        let forms = match face {
            Face::System => Self { system: Some(system.filter(is_telling)?), user },
            Face::User => Self { system, user: Some(user.filter(is_telling)?) },
        };
        Some(forms)
    }

    fn fit(&self, system: Option<&str>, user: &str) -> bool {
        let system_fits = match (&self.system, system) {
            (Some(template), Some(system)) => template.matches(system).is_some(),
            (None, None) => true,
            _ => false,
        };
        system_fits && self.user.as_ref().is_none_or(|template| template.matches(user).is_some())
    }

    fn fixed_bytes(&self, face: Face) -> usize {
        let template = match face {
            Face::System => &self.system,
            Face::User => &self.user,
        };
        template.as_ref().map_or(0, Template::fixed_bytes)
    }
}

/// What texts have in common; most often they are all the same.
fn common(texts: &[&str]) -> Option<Template> {
    let mut different = texts.to_vec();
    different.sort_unstable();
    different.dedup();
    while different.len() < 3 {
        different.push(different.first()?);
    }
    Template::common(&different)
}

fn is_telling(template: &Template) -> bool {
    template.fixed_bytes() >= FIXED_BYTES_MIN && template.fixed_words() >= FIXED_WORDS_MIN
}
