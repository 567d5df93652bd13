//! The requests of the journey, in an order that follows from a seed, and an annotator that is wrong now and then.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Mutex;

/// The share of answers of the large model that are wrong.
pub(crate) const NOISE: f64 = 0.03;

/// A labelled message.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    pub(crate) text: String,
    pub(crate) label: String,
}

/// Reads a file of `{"text", "label"}` lines; of equal texts the first counts.
pub(crate) fn read(path: &Path) -> Vec<Example> {
    let lines = std::fs::read_to_string(path).expect("the file of --data");
    let mut seen = HashSet::new();
    let example = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let field = |key: &str| value[key].as_str().expect("a text and its label").trim().to_owned();
        Example { text: field("text"), label: field("label") }
    };
    let examples = lines.lines().filter(|line| !line.trim().is_empty()).map(example);
    examples.filter(|example| seen.insert(example.text.clone())).collect()
}

/// Splitmix64: any spread will do, as long as it is the same every time.
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("a place in a list")
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            items.swap(place, self.below(place + 1));
        }
    }
}

/// One request of the journey.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) text: String,
    pub(crate) label: String,
    /// Its intent is none of those that were asked for before the change.
    pub(crate) unseen: bool,
    /// This message was not sent before.
    pub(crate) first: bool,
}

/// All requests, and how many intents there are.
pub(crate) struct Traffic {
    pub(crate) requests: Vec<Asked>,
    pub(crate) intents: usize,
    /// Those of the first part.
    pub(crate) known: usize,
}

impl Traffic {
    /// `count` requests: two thirds of the intents at first, all of them from `change_at` on, each as often as the data
    /// has it. Messages come in random order, and again in another one when all were sent; a sixth of those with the
    /// first intents waits for the change, so that there is something after it that no model was trained on.
    pub(crate) fn new(examples: &[Example], count: usize, change_at: usize, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let intents: BTreeSet<String> = examples.iter().map(|example| example.label.clone()).collect();
        let mut intents: Vec<String> = intents.into_iter().collect();
        dice.shuffle(&mut intents);
        let known: BTreeSet<String> = intents[..intents.len() * 2 / 3].iter().cloned().collect();
        let (old, new): (Vec<&Example>, Vec<&Example>) =
            examples.iter().partition(|example| known.contains(&example.label));
        let new_share = new.len() as f64 / examples.len() as f64;
        let mut shuffled = old.clone();
        dice.shuffle(&mut shuffled);
        let (kept, early) = shuffled.split_at(shuffled.len() / 6);
        let (mut early, mut kept) = (Deck::new(early.to_vec()), Deck::new(kept.to_vec()));
        let (mut old, mut new) = (Deck::new(old), Deck::new(new));
        let mut sent = HashSet::new();
        let requests = (0..count)
            .map(|number| {
                let unseen = number >= change_at && dice.share() < new_share;
                let deck = match (unseen, number < change_at) {
                    (true, _) => &mut new,
                    (false, true) => &mut early,
                    (false, false) if !kept.was_sent() => &mut kept,
                    (false, false) => &mut old,
                };
                let Example { text, label } = deck.draw(&mut dice).clone();
                let first = sent.insert(text.clone());
                Asked { text, label, unseen, first }
            })
            .collect();
        Self { requests, intents: intents.len(), known: known.len() }
    }
}

/// Messages that are drawn one after the other.
struct Deck<'e> {
    examples: Vec<&'e Example>,
    /// Those before this place were not drawn since the last shuffle.
    left: usize,
    shuffles: usize,
}

impl<'e> Deck<'e> {
    fn new(examples: Vec<&'e Example>) -> Self {
        Self { examples, left: 0, shuffles: 0 }
    }

    /// Every message was drawn.
    fn was_sent(&self) -> bool {
        self.left == 0 && (self.shuffles > 0 || self.examples.is_empty())
    }

    fn draw(&mut self, dice: &mut Dice) -> &'e Example {
        if self.left == 0 {
            dice.shuffle(&mut self.examples);
            self.left = self.examples.len();
            self.shuffles += 1;
        }
        self.left -= 1;
        self.examples[self.left]
    }
}

/// The large model: it knows every message's label, and says another one in [`NOISE`] of its answers. How it answers a
/// message for the n-th time follows from the seed alone, in whatever order requests come.
pub(crate) struct Annotator {
    truth: HashMap<String, String>,
    labels: Vec<String>,
    asked: Mutex<HashMap<String, u64>>,
    seed: u64,
}

impl Annotator {
    pub(crate) fn new(examples: &[Example], seed: u64) -> Self {
        let labels: BTreeSet<String> = examples.iter().map(|example| example.label.clone()).collect();
        Self {
            truth: examples.iter().map(|example| (example.text.clone(), example.label.clone())).collect(),
            labels: labels.into_iter().collect(),
            asked: Mutex::default(),
            seed,
        }
    }

    /// The answer to a chat request whose last message is the text; `None` for a text that it does not know.
    pub(crate) fn answer(&self, body: &serde_json::Value) -> Option<String> {
        let text = body["messages"].as_array()?.last()?["content"].as_str()?;
        let truth = self.truth.get(text)?;
        let times = {
            let mut asked = self.asked.lock().expect("no answer panics");
            let times = asked.entry(text.to_owned()).or_default();
            *times += 1;
            *times
        };
        let hash = text.bytes().fold(self.seed ^ times, |hash, byte| Dice(hash ^ u64::from(byte)).next());
        let mut dice = Dice(hash);
        if dice.share() >= NOISE {
            return Some(truth.clone());
        }
        // Any label but the true one, all alike.
        let others: Vec<&String> = self.labels.iter().filter(|label| *label != truth).collect();
        Some(others[dice.below(others.len())].clone())
    }
}
