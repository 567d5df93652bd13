//! Running parts of the examples through the model: the states below the adapter, remembered, and the surprise above them.

use candle_core::{Device, Tensor};

use crate::adapter::Adapter;
use crate::base::Base;
use crate::batches::{Text, parts};
use crate::error::Error;
use crate::network::{Network, Shape};
use crate::ops::Surprise;

/// Tokens that are run together: the longest that the activations of stay within about half a gigabyte.
pub(crate) const PART_TOKENS_MAX: usize = 1024;

/// Texts, and what the frozen layers below the adapter make of them, which no step of the training changes.
pub(crate) struct Reading<'a> {
    base: &'a Base,
    first: usize,
    texts: &'a [Text],
    /// States of each text's tokens, `length * width`, once they were computed; empty where nothing is remembered.
    remembered: Vec<Vec<f32>>,
}

/// How a model does on texts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Score {
    /// Texts whose every answer token is the model's likeliest: what it would have written.
    pub(crate) exact: usize,
    /// Texts.
    pub(crate) texts: usize,
    /// The sum over texts of the negative logarithms of their answers' probabilities.
    pub(crate) surprise: f64,
}

/// One part, run.
pub(crate) struct Run {
    /// The negative logarithm of each answer token's probability, text by text.
    pub(crate) surprise: Tensor,
    scores: Tensor,
    targets: Vec<u32>,
    /// Answer tokens of each text.
    counts: Vec<usize>,
}

impl<'a> Reading<'a> {
    /// For an adapter that begins at layer `first`. States are remembered where they take at most `mib_max` MiB.
    pub(crate) fn new(base: &'a Base, first: usize, texts: &'a [Text], mib_max: usize) -> Self {
        let tokens: usize = texts.iter().map(Text::length).sum();
        let mib = (tokens.saturating_mul(base.sizes.width).saturating_mul(4)) >> 20;
        let remembered = if mib <= mib_max { vec![Vec::new(); texts.len()] } else { Vec::new() };
        Self { base, first, texts, remembered }
    }

    /// Runs the texts at `places`.
    pub(crate) fn run(&mut self, places: &[usize], adapter: &Adapter) -> Result<Run, Error> {
        let texts: Vec<&Text> = places.iter().map(|&place| &self.texts[place]).collect();
        let length = texts.iter().map(|text| text.length()).max().unwrap_or_default();
        let network = Network::new(self.base, Shape { texts: texts.len(), length });
        let below = self.below(&network, places, length)?;
        let above = network.above(&below, adapter)?;
        let mut answer_places = Vec::new();
        let mut targets = Vec::new();
        let mut counts = Vec::new();
        for (row, text) in texts.iter().enumerate() {
            let answer = &text.tokens[text.prompt..];
            // The token before an answer token is where it is said.
            answer_places.extend((0..answer.len()).map(|offset| row * length + text.prompt - 1 + offset));
            targets.extend_from_slice(answer);
            counts.push(answer.len());
        }
        let answer_places = answer_places.into_iter().map(u32::try_from).collect::<Result<Vec<u32>, _>>();
        let answer_places = answer_places.map_err(|_| Error::Failed("a part is too large".to_owned()))?;
        let answer_places = Tensor::new(answer_places, &Device::Cpu)?;
        let scores = network.scores(&above, &answer_places)?;
        let surprise = scores.apply_op1(Surprise { targets: targets.clone() })?;
        Ok(Run { surprise, scores: scores.detach(), targets, counts })
    }

    /// How `adapter` does on all texts.
    pub(crate) fn score(&mut self, adapter: &Adapter) -> Result<Score, Error> {
        let all: Vec<usize> = (0..self.texts.len()).collect();
        let frozen = adapter.frozen();
        let mut score = Score::default();
        for part in parts(self.texts, &all, PART_TOKENS_MAX) {
            self.run(&part, &frozen)?.add_to(&mut score)?;
        }
        Ok(score)
    }

    fn below(&mut self, network: &Network<'_>, places: &[usize], length: usize) -> Result<Tensor, Error> {
        let width = self.base.sizes.width;
        let known = |place: &usize| self.remembered.get(*place).is_some_and(|states| !states.is_empty());
        if places.iter().all(known) {
            let mut states = vec![0.0; places.len() * length * width];
            for (row, &place) in states.chunks_exact_mut(length * width).zip(places) {
                let known = &self.remembered[place];
                row[..known.len()].copy_from_slice(known);
            }
            return Ok(Tensor::from_vec(states, (places.len() * length, width), &Device::Cpu)?);
        }
        let mut tokens = vec![0_u32; places.len() * length];
        for (row, &place) in tokens.chunks_exact_mut(length).zip(places) {
            let text = &self.texts[place];
            row[..text.length()].copy_from_slice(&text.tokens[..text.length()]);
        }
        let states = network.below(&Tensor::new(tokens, &Device::Cpu)?, self.first)?;
        if !self.remembered.is_empty() {
            let numbers = states.flatten_all()?.to_vec1::<f32>()?;
            for (row, &place) in numbers.chunks_exact(length * width).zip(places) {
                self.remembered[place] = row[..self.texts[place].length() * width].to_vec();
            }
        }
        Ok(states)
    }
}

impl Run {
    fn add_to(&self, score: &mut Score) -> Result<(), Error> {
        let likeliest = self.scores.argmax(1)?.to_vec1::<u32>()?;
        let surprise = self.surprise.to_vec1::<f32>()?;
        let mut start = 0;
        for count in &self.counts {
            let end = start + count;
            score.texts += 1;
            score.exact += usize::from(likeliest[start..end] == self.targets[start..end]);
            score.surprise += surprise[start..end].iter().copied().map(f64::from).sum::<f64>();
            start = end;
        }
        Ok(())
    }
}
