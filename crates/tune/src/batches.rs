//! Examples as token ids, and the order in which they are learnt from.

use crate::base::Base;
use crate::dice::Dice;
use crate::error::Error;
use crate::examples::Example;
use crate::layout::{ANSWER_END, Layout, answer};

/// Steps whose examples are sorted by length together: what a step reads is then nearly of one length.
const STEPS_SORTED: usize = 16;

/// One example as the model reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// Prompt, answer and its end.
    pub(crate) tokens: Vec<u32>,
    /// Tokens of the prompt, at least 1.
    pub(crate) prompt: usize,
}

impl Text {
    /// Reads an example. `None` where it is longer than `tokens_max` or has an empty prompt.
    pub(crate) fn read(
        base: &Base,
        layout: &Layout,
        example: &Example,
        tokens_max: usize,
    ) -> Result<Option<Self>, Error> {
        let mut tokens = base.tokens.prompt(&layout.prompt(&example.text))?;
        let prompt = tokens.len();
        tokens.extend(base.tokens.ids(&answer(&example.label))?);
        tokens.extend(base.tokens.ids(ANSWER_END)?);
        let fits = prompt > 0 && tokens.len() <= tokens_max;
        Ok(fits.then_some(Self { tokens, prompt }))
    }

    /// Tokens that the model reads: all but the last, which it only has to say.
    pub(crate) fn length(&self) -> usize {
        self.tokens.len().saturating_sub(1)
    }
}

/// The steps of one epoch: places in `texts`, `size` to a step, in a random order.
pub(crate) fn steps(texts: &[Text], size: usize, dice: &mut Dice) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    dice.shuffle(&mut order);
    let mut steps = Vec::new();
    for chunk in order.chunks_mut(size.saturating_mul(STEPS_SORTED).max(1)) {
        chunk.sort_by_key(|&place| texts[place].length());
        steps.extend(chunk.chunks(size.max(1)).map(<[usize]>::to_vec));
    }
    dice.shuffle(&mut steps);
    steps
}

/// Cuts places into parts that read at most `tokens_max` tokens each, filling-up included, or hold one text.
pub(crate) fn parts(texts: &[Text], places: &[usize], tokens_max: usize) -> Vec<Vec<usize>> {
    let mut places = places.to_vec();
    places.sort_by_key(|&place| texts[place].length());
    let mut parts: Vec<Vec<usize>> = Vec::new();
    for place in places {
        match parts.last_mut() {
            Some(part) if (part.len() + 1) * texts[place].length() <= tokens_max => part.push(place),
            _ => parts.push(vec![place]),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(lengths: &[usize]) -> Vec<Text> {
        lengths.iter().map(|&length| Text { tokens: vec![0; length + 1], prompt: 1 }).collect()
    }

    proptest! {
        #[test]
        fn every_text_is_in_one_part_of_one_step(
            lengths in prop::collection::vec(1..60_usize, 0..120), size in 1..9_usize, seed: u64
        ) {
            let texts = texts(&lengths);
            let mut seen = Vec::new();
            for step in steps(&texts, size, &mut Dice::new(seed)) {
                prop_assert!(!step.is_empty() && step.len() <= size);
                for part in parts(&texts, &step, 100) {
                    let longest = part.iter().map(|&place| lengths[place]).max().unwrap();
                    prop_assert!(part.len() == 1 || part.len() * longest <= 100);
                    seen.extend(part);
                }
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<usize>>());
        }
    }
}
