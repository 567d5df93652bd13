//! The cheap features of a request: a vector of fixed length and fixed scale from its words and form alone.
//!
//! Owns what the heads see, in training and in prediction alike ([`inputs`]). Refuses to look at other requests: no
//! statistics of a batch, so one request alone is measured as it is in a crowd.

use api::Contract;

use crate::buckets::{BUCKETS, Hashed};
use crate::contract::contract;
use crate::cues::{CUES, group, lexicon};
use crate::lexicon::Found;
use crate::outline::{Outline, Zone, read_part};
use crate::strong::{STRONGS, fillers, strong};
use crate::structure::{STRUCTURE, has_formulas, structure};
use crate::view::View;
use crate::words::{Shape, Word, fold, hash_of, mix};

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
const HASH: usize = BOTH + TOGETHER;

/// Length of [`features`].
pub const FEATURES: usize = HASH + BUCKETS;

/// How loud the encoder's vector speaks beside the cheap features, both being of length near 1.
const VECTOR_SCALE: f32 = 2.0;
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

/// What a head reads of a request: its cheap features, and the encoder's vector of [`View::encoder_text`] after them
/// where there is one. Training and prediction both come through here, so that they cannot differ.
pub fn inputs(view: &View, vector: Option<&[f32]>) -> Vec<f32> {
    let mut inputs = features(view);
    if let Some(vector) = vector {
        inputs.extend(vector.iter().map(|value| value * VECTOR_SCALE));
    }
    inputs
}

/// The cheap features of a request: [`FEATURES`] numbers, most of them 0. Takes tens of microseconds; the middle of
/// texts over 14 kB is left out.
pub fn features(view: &View) -> Vec<f32> {
    let mut drawing = Drawing { values: vec![0.0; FEATURES], hashed: Hashed::default() };
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
    drawing.words(&system, 0.7);
    drawing.words(&user, 1.0);
    let followed = user.words.len() <= 12 && !view.earlier_user.is_empty();
    if followed {
        let earlier = read_part(&view.earlier_user);
        let earlier = Outline::of(&earlier);
        drawing.cues(&earlier, CUE_COUNTS, 0.5);
        drawing.strong(&earlier, STRONG_ANY, 0.5);
        drawing.words(&earlier, 0.5);
    }
    structure(&user, &mut drawing.values[FORM..FORM + STRUCTURE]);
    drawing.formulas(&user);
    drawing.reading(&user);
    drawing.facts(view, &system, followed);
    drawing.together(&user);
    drawing.finish()
}

/// Instructions that say nothing: "You are a helpful assistant."
fn is_boilerplate(system: &str) -> bool {
    const WORDS_MAX: usize = 12;
    let mut words = 0;
    let mut helpful = false;
    for word in system.split_whitespace() {
        words += 1;
        helpful |= word.eq_ignore_ascii_case("helpful");
        if words > WORDS_MAX {
            return false;
        }
    }
    helpful
}

/// The features being drawn.
struct Drawing {
    values: Vec<f32>,
    hashed: Hashed,
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
            self.hashed.add(mix(general(&outline.words[head]), 6), 1.5 * weight);
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

    /// Hashes words, pairs and parts of words.
    fn words(&mut self, outline: &Outline<'_>, weight: f32) {
        const PARTS_WORDS: usize = 48;
        const MATERIAL_SALT: u32 = 1;
        const START_SALT: u32 = 2;
        const END_SALT: u32 = 3;
        const LABEL_SALT: u32 = 4;
        let mut before = None;
        let mut spoken = 0_usize;
        for (word, zone) in outline.words.iter().zip(&outline.zones) {
            let hash = general(word);
            if *zone == Zone::Material {
                self.hashed.material(mix(hash, MATERIAL_SALT));
                before = None;
                continue;
            }
            self.hashed.add(hash, weight);
            if let Some(before) = before {
                self.hashed.add(pair(before, hash), weight);
            }
            if spoken < 3 {
                self.hashed.add(mix(hash, START_SALT), weight);
            }
            if spoken < PARTS_WORDS && word.length >= 5 && !word.shape.has(Shape::DIGITS) {
                self.parts(&outline.text[word.start..word.end], 0.35 * weight);
            }
            before = Some(hash);
            spoken += 1;
        }
        if let Some(last) = outline.words.last() {
            self.hashed.add(mix(general(last), END_SALT), weight);
        }
        for line in outline.lines.iter().filter(|line| line.colon.is_some()).take(24) {
            if let Some(word) = outline.words.get(line.first) {
                self.hashed.add(mix(general(word), LABEL_SALT), weight);
            }
        }
    }

    /// The four-letter parts of a word: most of them survive a slip of the finger.
    fn parts(&mut self, word: &str, weight: f32) {
        let mut window = ['\0'; 4];
        for (place, letter) in word.chars().take(16).enumerate() {
            window.rotate_left(1);
            window[3] = fold(letter);
            if place >= 3 {
                self.hashed.add(mix(hash_of(window), 5), weight);
            }
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
        self.values[FORM..HASH].iter_mut().for_each(|value| *value *= FORM_SCALE);
        self.hashed.write(&mut self.values[HASH..]);
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

/// A word's hash; numbers are alike but for their length.
fn general(word: &Word) -> u64 {
    if word.shape.has(Shape::DIGITS) { mix(7, u32::from(word.length.min(6))) } else { word.hash }
}

const fn pair(before: u64, hash: u64) -> u64 {
    before.rotate_left(17) ^ hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)
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

    fn of(text: &str) -> Vec<f32> {
        features(&View::of(None, text))
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
        api::cosine(a, b) / (norm(a) * norm(b))
    }

    #[test]
    fn boilerplate_instructions_say_nothing() {
        let plain = features(&View { messages: 2, ..View::of(None, "Why?") });
        assert_eq!(features(&View::of(Some("You are a helpful assistant."), "Why?")), plain);
        assert_ne!(features(&View::of(Some("You label tickets."), "Why?")), plain);
    }

    #[test]
    fn slips_and_case_move_a_request_little() {
        let clean = of("Please summarize the following article in three sentences");
        let noisy = of("pleese sumarize teh folowing artcle IN three sentences");
        let other = of("What is the capital of Mongolia and who founded it");
        assert!(cosine(&clean, &noisy) > 0.6, "{}", cosine(&clean, &noisy));
        assert!(cosine(&clean, &noisy) > 2.0 * cosine(&clean, &other));
    }

    #[test]
    fn the_vector_comes_after_the_cheap_features() {
        let view = View::of(None, "hi");
        let with = inputs(&view, Some(&[0.5, -1.0]));
        assert_eq!(with[..FEATURES], inputs(&view, None));
        assert_eq!(with[FEATURES..], [0.5 * VECTOR_SCALE, -VECTOR_SCALE]);
    }

    proptest! {
        /// Any text has features of the fixed length and scale.
        #[test]
        fn features_are_bounded(system in ".{0,60}", text in "(.|\n){0,400}") {
            let values = features(&View::of(Some(&system), &text));
            prop_assert_eq!(values.len(), FEATURES);
            prop_assert!(values.iter().all(|value| value.is_finite() && value.abs() <= STRONG_SCALE));
        }
    }
}
