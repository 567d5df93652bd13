//! Prompts as people type them: the same text with swapped, dropped and doubled letters, or without its capitals.

/// A small generator, so that the same file gives the same noise on every machine (splitmix64, Steele et al. 2014).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.roll().is_multiple_of(many)
    }
}

/// The text with about one letter in twenty-five wrong, and in lower case every second time.
pub(super) fn noisy(text: &str, dice: &mut Dice) -> String {
    let text = if dice.one_in(2) { text.to_lowercase() } else { text.to_owned() };
    let mut letters: Vec<char> = Vec::with_capacity(text.len());
    for letter in text.chars() {
        if !letter.is_alphabetic() || !dice.one_in(25) {
            letters.push(letter);
            continue;
        }
        match dice.roll() % 3 {
            0 => {}
            1 => letters.extend([letter, letter]),
            _ => match letters.pop() {
                Some(before) => letters.extend([letter, before]),
                None => letters.push(letter),
            },
        }
    }
    letters.into_iter().collect()
}
