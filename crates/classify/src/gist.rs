//! The few terms that say most about an exemplar: enough to tell which exemplars a request is worded like, small enough to
//! keep for all of them.

use api::Cell;

use crate::grams::BUCKETS;

/// Terms kept of an exemplar. All of them would take twenty times the memory and name the same neighbours.
const TERMS_MAX: usize = 40;

/// The weightiest terms of an exemplar, in the order of their places, of unit length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gist(Vec<Cell>);

impl Gist {
    /// The gist of what [`Features::cells`](crate::Features::cells) gives for an exemplar.
    pub fn of(cells: &[Cell]) -> Self {
        let mut terms: Vec<Cell> =
            cells.iter().copied().filter(|(place, _)| (*place as usize) < BUCKETS).collect();
        terms.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        terms.truncate(TERMS_MAX);
        terms.sort_unstable_by_key(|(place, _)| *place);
        let length = terms.iter().map(|(_, weight)| weight * weight).sum::<f32>().sqrt();
        terms.iter_mut().for_each(|(_, weight)| *weight /= length.max(f32::MIN_POSITIVE));
        Self(terms)
    }

    /// As it was kept.
    pub fn from_kept(terms: Vec<Cell>) -> Self {
        Self(terms)
    }

    /// To be kept.
    pub fn terms(&self) -> &[Cell] {
        &self.0
    }

    /// The inner product with what heads read of a request, which is in the order of its places too.
    fn alike(&self, request: &[Cell]) -> f32 {
        let mut sum = 0.0;
        let mut rest = request;
        for (place, weight) in &self.0 {
            rest = &rest[rest.partition_point(|(other, _)| other < place)..];
            let same = rest.iter().take_while(|(other, _)| other == place);
            sum += same.map(|(_, other)| weight * other).sum::<f32>();
        }
        sum
    }
}

/// The `count` gists most like a request, the nearest first: their places and the cosines, about 0 to 1. `request` is what
/// [`Classifier::cells`](crate::Classifier::cells) gives. Looks at all of them (10,000 in a few milliseconds): for
/// explanations, not for every request.
pub fn nearest(request: &[Cell], gists: &[Gist], count: usize) -> Vec<(usize, f32)> {
    let terms: Vec<Cell> = request.iter().copied().filter(|(place, _)| (*place as usize) < BUCKETS).collect();
    let length = terms.iter().map(|(_, weight)| weight * weight).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    let mut all: Vec<(usize, f32)> =
        gists.iter().map(|gist| gist.alike(&terms) / length).enumerate().collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(count);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Features, Rarity, Terms, View};

    #[test]
    fn the_nearest_exemplars_come_first() {
        let texts = ["Who wrote Faust?", "Translate to Dutch: hello", "hi"];
        let features: Vec<Features> = texts.iter().map(|text| Features::of(&View::of(None, text))).collect();
        let twice: Vec<Terms> = features.iter().chain(&features).map(|one| one.terms().clone()).collect();
        let rarity = Rarity::of(&twice);
        let gists: Vec<Gist> = features.iter().map(|one| Gist::of(&one.cells(&rarity, None))).collect();
        let request = Features::of(&View::of(None, "translate to dutch: good morning")).cells(&rarity, None);
        let near = nearest(&request, &gists, 2);
        assert_eq!((near.len(), near[0].0), (2, 1));
        assert!(near[0].1 > near[1].1 && near[0].1 <= 1.001);
        assert!(nearest(&request, &gists, 0).is_empty() && nearest(&[], &gists, 3).len() == 3);
        assert_eq!(Gist::from_kept(gists[1].terms().to_vec()), gists[1]);
    }
}
