//! What is read of a request to judge it: its terms, its cues, and the encoder's numbers where there are any.
//!
//! Owns what the heads see, in training and in prediction alike ([`Features::cells`]). Refuses to look at other requests:
//! no statistics of a batch, so one request alone is measured as it is in a crowd.

use api::{Cell, Contract};

use crate::contract::contract;
use crate::cues::{CUES, group, lexicon};
use crate::grams::{BUCKETS, Rarity, Terms, is_boilerplate};
use crate::lexicon::Found;
use crate::outline::{Outline, Zone, read_part};
use crate::strong::{STRONGS, fillers, strong};
use crate::structure::{STRUCTURE, has_formulas, structure};
use crate::view::View;
use crate::words::Shape;

/// Facts beside the text.
const FACTS: usize = 12;
/// Facts that only say something together.
const TOGETHER: usize = 22;

// Where each block starts.
const CUE_COUNTS: usize = 0;
const CUE_FIRST: usize = CUE_COUNTS + CUES;
const CUE_HEAD: usize = CUE_FIRST + CUES;
const CUE_SYSTEM: usize = CUE_HEAD + CUES;
const STRONG_ANY: usize = CUE_SYSTEM + CUES;
const STRONG_HEAD: usize = STRONG_ANY + STRONGS;
const STRONG_FIRST: usize = STRONG_HEAD + STRONGS;
const STRONG_SYSTEM: usize = STRONG_FIRST + STRONGS;
const FORM: usize = STRONG_SYSTEM + STRONGS;
const FACT: usize = FORM + STRUCTURE;
const BOTH: usize = FACT + FACTS;
/// Numbers that tell the cues of a request.
const CUE_WIDTH: usize = BOTH + TOGETHER;

/// Features that need no encoder: [`Features::cells`] without a form are all below.
pub const CHEAP_WIDTH: usize = BUCKETS + CUE_WIDTH;

/// The length of the encoder's numbers as a vector, beside terms and cues of length 1 each.
const FORM_LENGTH: f32 = 2.0;
/// How loud the strong phrases speak: under one penalty for all weights, what is louder needs less evidence.
const STRONG_SCALE: f32 = 4.0;
/// Single cues are many and overlap.
const CUE_SCALE: f32 = 0.7;
/// The form of a text is much its author's taste: heads that lean on it learn the exemplars' author.
const FORM_SCALE: f32 = 0.5;
/// Words at a request's start that say what is wanted.
const START_WORDS: usize = 6;
/// Slips of the finger are looked for among so many words.
const SLIP_WORDS: usize = 60;

/// What is read of a request without the encoder.
#[derive(Clone, Debug)]
pub struct Features {
    terms: Terms,
    /// Of unit length.
    cues: Vec<f32>,
}

impl Features {
    /// Reads a request; takes about a tenth of a millisecond. The middle of texts over 14 kB is left out.
    pub fn of(view: &View) -> Self {
        let mut cues = cues(view);
        to_length(&mut cues, 1.0);
        Self { terms: Terms::of(view), cues }
    }

    /// The terms alone.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// What heads read of a request: its weighed terms, its cues, and [`Reading::form`](crate::Reading::form) after them
    /// where there is one. Training and prediction both come through here, so that they cannot differ. In the order of
    /// the places; each term's place once for each sort of term that falls there.
    pub fn cells(&self, rarity: &Rarity, form: Option<&[f32]>) -> Vec<Cell> {
        let mut cells = rarity.weigh(&self.terms);
        cells.sort_unstable_by_key(|(place, _)| *place);
        let mut form = form.map(<[f32]>::to_vec).unwrap_or_default();
        to_length(&mut form, FORM_LENGTH);
        let behind = self.cues.iter().chain(&form).zip(BUCKETS..);
        cells.extend(
            behind
                .filter(|(value, _)| **value != 0.0)
                .filter_map(|(value, place)| Some((u32::try_from(place).ok()?, *value))),
        );
        cells
    }
}

/// Brings a vector to a length; one of zeros stays as it is.
fn to_length(vector: &mut [f32], length: f32) {
    let own = api::cosine(vector, vector).sqrt();
    if own > 0.0 {
        vector.iter_mut().for_each(|value| *value *= length / own);
    }
}

/// The cues of a request: [`CUE_WIDTH`] numbers, most of them 0.
fn cues(view: &View) -> Vec<f32> {
    let mut drawing = Drawing { values: vec![0.0; CUE_WIDTH] };
    let system = read_part(&view.system);
    let system = Outline::of(if is_boilerplate(&system) { "" } else { &system });
    let user = read_part(&view.user);
    let user = Outline::of(&user);
    drawing.cues(&system, CUE_SYSTEM, 1.0);
    drawing.cues(&system, CUE_COUNTS, 0.5);
    drawing.strong(&system, STRONG_SYSTEM, 1.0);
    drawing.cues(&user, CUE_COUNTS, 1.0);
    drawing.starts(&user);
    drawing.strong(&user, STRONG_ANY, 1.0);
    let followed = user.words.len() <= 12 && !view.earlier_user.is_empty();
    if followed {
        let earlier = read_part(&view.earlier_user);
        let earlier = Outline::of(&earlier);
        drawing.cues(&earlier, CUE_COUNTS, 0.5);
        drawing.strong(&earlier, STRONG_ANY, 0.5);
    }
    structure(&user, &mut drawing.values[FORM..FORM + STRUCTURE]);
    drawing.formulas(&user);
    drawing.reading(&user);
    drawing.facts(view, &system, followed);
    drawing.together(&user);
    drawing.finish()
}

/// The cues being drawn.
struct Drawing {
    values: Vec<f32>,
}

impl Drawing {
    /// Counts cue phrases, up to three times each; those in the material count little.
    fn cues(&mut self, outline: &Outline<'_>, block: usize, weight: f32) {
        const STEP: f32 = 0.34;
        let values = &mut self.values;
        lexicon().find(outline.text, &outline.words, SLIP_WORDS, |found: Found| {
            let zone = if outline.zones[found.first] == Zone::Instruction { 1.0 } else { 0.25 };
            let value = &mut values[block + usize::from(found.group)];
            *value = (*value + weight * zone * STEP).min(1.0);
        });
    }

    /// Cues among a request's first words, and where a sentence's verb stands.
    fn starts(&mut self, outline: &Outline<'_>) {
        const HEADS_MAX: usize = 12;
        let values = &mut self.values;
        let start = &outline.words[..outline.words.len().min(START_WORDS)];
        lexicon().find(outline.text, start, START_WORDS, |found| {
            values[CUE_FIRST + usize::from(found.group)] = 1.0;
        });
        for (place, head) in heads(outline).into_iter().take(HEADS_MAX).enumerate() {
            // The first sentence mostly says it, the later ones say how.
            let weight = if place == 0 { 1.0 } else { 0.6 };
            let phrase = &outline.words[head..(head + 4).min(outline.words.len())];
            lexicon().find(outline.text, phrase, 1, |found| {
                let value = &mut values[CUE_HEAD + usize::from(found.group)];
                if found.first == 0 {
                    *value = value.max(weight);
                }
            });
            strong().find(outline.text, phrase, 1, |found| {
                let value = &mut values[STRONG_HEAD + usize::from(found.group)];
                if found.first == 0 {
                    *value = value.max(weight * STRONG_SCALE);
                }
            });
        }
    }

    /// Strong phrases: which kinds have one, and which has the first.
    fn strong(&mut self, outline: &Outline<'_>, block: usize, weight: f32) {
        let values = &mut self.values;
        let mut first: Option<(usize, usize)> = None;
        strong().find(outline.text, &outline.words, SLIP_WORDS, |found: Found| {
            let group = usize::from(found.group);
            let spoken = outline.zones[found.first] == Zone::Instruction;
            let zone = if spoken { 0.7 } else { 0.15 };
            let value = &mut values[block + group];
            *value = (*value + weight * zone * STRONG_SCALE).min(STRONG_SCALE);
            // Of phrases that start together the longer one says more.
            let starts = first.is_none_or(|(start, past)| {
                found.first < start || (found.first == start && found.past > past)
            });
            if spoken && block == STRONG_ANY && starts {
                first = Some((found.first, found.past));
                values[STRONG_FIRST..STRONG_FIRST + STRONGS].fill(0.0);
                values[STRONG_FIRST + group] = weight * STRONG_SCALE;
            }
        });
    }

    /// A question below or above a longer text that is no program is about that text.
    fn reading(&mut self, outline: &Outline<'_>) {
        const COMPREHENSION: usize = 5;
        const MATERIAL_WORDS_MIN: usize = 40;
        let material = outline.zones.iter().filter(|zone| **zone == Zone::Material).count();
        let programs = outline.lines.iter().filter(|line| line.code || line.fenced).count();
        let asks = outline.text.trim_end().ends_with(['?', '？', '؟']);
        if asks && material >= MATERIAL_WORDS_MIN && programs < 2 {
            let value = &mut self.values[STRONG_ANY + COMPREHENSION];
            *value = (*value + 0.5 * STRONG_SCALE).min(STRONG_SCALE);
        }
    }

    /// Formulas are as strong a sign of reasoning as words are.
    fn formulas(&mut self, outline: &Outline<'_>) {
        const REASONING: usize = 1;
        let programs = outline.lines.iter().any(|line| line.code || line.fenced);
        if !programs && has_formulas(outline.text) {
            let value = &mut self.values[STRONG_ANY + REASONING];
            *value = (*value + 0.7 * STRONG_SCALE).min(STRONG_SCALE);
        }
    }

    fn facts(&mut self, view: &View, system: &Outline<'_>, followed: bool) {
        let facts = [
            flag(!system.words.is_empty()),
            scaled(system.words.len(), 400.0),
            flag(view.messages > 2),
            scaled(view.messages, 20.0),
            flag(followed),
            flag(view.tools),
            flag(view.modality.images),
            flag(matches!(contract(view), Contract::Labels(_))),
            flag(matches!(view.contract, Contract::JsonObject | Contract::JsonSchema(_))),
            scaled(view.others.iter().map(String::len).sum(), 40_000.0),
            flag(view.user.trim().is_empty()),
            flag(view.tokens_max.is_some_and(|most| most <= 16)),
        ];
        self.values[FACT..FACT + FACTS].copy_from_slice(&facts);
    }

    /// What neither of two facts says alone: a question beside material is not a question about the world.
    fn together(&mut self, outline: &Outline<'_>) {
        let read = |block: usize, group: usize| self.values[block + group];
        let heads = |group: usize| read(CUE_HEAD, group);
        let material = outline.zones.iter().filter(|zone| **zone == Zone::Material).count();
        let given = flag(material >= 5);
        let bare = 1.0 - given;
        let asks = flag(outline.text.trim_end().ends_with(['?', '？', '؟'])).max(heads(group::ASK));
        let code = read(CUE_COUNTS, group::CODE).min(0.68) * 1.47;
        let numbers = outline
            .words
            .iter()
            .zip(&outline.zones)
            .filter(|(word, zone)| **zone == Zone::Instruction && word.shape.has(Shape::DIGITS))
            .count();
        let many_numbers = flag(numbers >= 3);
        let some_numbers = flag(numbers >= 2);
        let reasons = flag(read(CUE_COUNTS, group::REASON) > 0.3);
        let no_code = 1.0 - code;
        let short = flag(outline.words.len() <= 14);
        let writes = heads(group::WRITE);
        let together = [
            asks * given,
            asks * bare,
            asks * bare * no_code,
            asks * bare * code,
            asks * given * no_code,
            writes * code,
            writes * no_code,
            writes * given,
            asks * some_numbers,
            asks * many_numbers,
            many_numbers * bare,
            reasons * some_numbers,
            reasons * many_numbers * bare,
            given * code,
            short * asks * bare,
            short * (1.0 - asks) * bare,
            read(CUE_FIRST, group::PERSONA) * bare,
            read(CUE_FIRST, group::ME) * bare * (1.0 - asks),
            read(CUE_COUNTS, group::THEN) * bare,
            read(CUE_COUNTS, group::ELSEWHERE) * asks,
            read(CUE_COUNTS, group::NOW) * asks * bare,
            read(CUE_COUNTS, group::GIVEN) * bare,
        ];
        self.values[BOTH..BOTH + TOGETHER].copy_from_slice(&together);
    }

    fn finish(mut self) -> Vec<f32> {
        self.values[CUE_COUNTS..STRONG_ANY].iter_mut().for_each(|value| *value *= CUE_SCALE);
        self.values[FORM..].iter_mut().for_each(|value| *value *= FORM_SCALE);
        self.values
    }
}

/// The places of the words that sentences of the instruction start with, after what is only polite.
fn heads(outline: &Outline<'_>) -> Vec<usize> {
    const FILLERS_MAX: usize = 7;
    let mut places = Vec::new();
    let mut is_filler = vec![false; outline.words.len()];
    fillers().find(outline.text, &outline.words, 0, |found| is_filler[found.first] = true);
    let mut before = 0;
    for (place, word) in outline.words.iter().enumerate() {
        let between = &outline.text[before..word.start];
        before = word.end;
        let starts =
            place == 0 || between.contains(['.', '!', '?', '\n', ':', ';', '。', '！', '？', '：', '，']);
        if !starts || outline.zones[place] == Zone::Material {
            continue;
        }
        let spoken = |place: &usize| outline.zones[*place] == Zone::Instruction;
        let head = (place..outline.words.len())
            .take(FILLERS_MAX)
            .take_while(spoken)
            .find(|place| !is_filler[*place]);
        places.push(head.unwrap_or(place));
    }
    places.dedup();
    places
}

/// 1 for true.
pub(crate) const fn flag(value: bool) -> f32 {
    if value { 1.0 } else { 0.0 }
}

/// A count on a logarithmic scale from 0 to 1 at `top`.
#[expect(clippy::cast_precision_loss, reason = "counts of words")]
pub(crate) fn scaled(count: usize, top: f32) -> f32 {
    ((count as f32 + 1.0).ln() / (top + 1.0).ln()).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn boilerplate_instructions_say_nothing() {
        let plain = cues(&View { messages: 2, ..View::of(None, "Why?") });
        assert_eq!(cues(&View::of(Some("You are a helpful assistant."), "Why?")), plain);
        assert_ne!(cues(&View::of(Some("You label tickets."), "Why?")), plain);
    }

    #[test]
    fn the_encoders_numbers_come_after_all_others() {
        let rarity = Rarity::of(&[]);
        let features = Features::of(&View::of(None, "hi"));
        let without = features.cells(&rarity, None);
        let with = features.cells(&rarity, Some(&[0.6, 0.0, -0.8]));
        assert_eq!(with[..without.len()], without);
        let width = u32::try_from(CHEAP_WIDTH).unwrap();
        assert_eq!(with[without.len()..], [(width, 0.6 * FORM_LENGTH), (width + 2, -0.8 * FORM_LENGTH)]);
    }

    proptest! {
        /// Any text has features in their places and of their scale.
        #[test]
        fn features_are_bounded(system in ".{0,60}", text in "(.|\n){0,400}") {
            let view = View::of(Some(&system), &text);
            let features = Features::of(&view);
            let cells = features.cells(&Rarity::of(&[features.terms.clone(), features.terms.clone()]), None);
            let in_place = |(place, value): &Cell| (*place as usize) < CHEAP_WIDTH && value.abs() <= 1.001;
            prop_assert!(cells.iter().all(in_place));
            prop_assert!(cells.is_sorted_by_key(|(place, _)| *place));
        }
    }
}
