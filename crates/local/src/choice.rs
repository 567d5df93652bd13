//! Which of several answers the model finds likeliest: a best-first search over their tokens.
//!
//! Answers that begin alike share their beginning, and one that is unlikely from its first token on is never read to its
//! end. The two likeliest are found exactly; of the others only an upper bound is known.

use llama_cpp_2::token::LlamaToken;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice {
    /// The place of the likeliest answer.
    pub(crate) place: usize,
    /// The natural logarithm of its probability, its end included.
    pub(crate) logprob: f64,
    /// How much more likely it is than the second, as a difference of logarithms; `None` where there is no second.
    pub(crate) margin: Option<f64>,
    /// Its share of the probability of all answers of the set, at least: what is not known exactly counts against it.
    pub(crate) share: f64,
}

/// A beginning that some answers have in common.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its tokens.
    pub(crate) path: Vec<LlamaToken>,
    /// The answers that begin so.
    places: Vec<usize>,
    logprob: f64,
}

/// The search under way. No answer may be the beginning of another.
pub(crate) struct Search<'a> {
    choices: &'a [Vec<LlamaToken>],
    open: Vec<Node>,
    found: Vec<(usize, f64)>,
}

impl<'a> Search<'a> {
    /// Begins with all of `choices`.
    pub(crate) fn new(choices: &'a [Vec<LlamaToken>]) -> Self {
        let root = Node { path: Vec::new(), places: (0..choices.len()).collect(), logprob: 0.0 };
        Self { choices, open: vec![root], found: Vec::new() }
    }

    /// The beginning to go on from: give it to [`Search::extend`] with the model's scores after it. `None` once the two
    /// likeliest are known.
    pub(crate) fn next(&mut self) -> Option<Node> {
        while self.found.len() < 2 {
            let mut best = 0;
            for (place, node) in self.open.iter().enumerate() {
                // The first of equals, so that ties are broken the same way every time.
                if node.logprob > self.open[best].logprob {
                    best = place;
                }
            }
            if self.open.is_empty() {
                return None;
            }
            let node = self.open.remove(best);
            match node.places.as_slice() {
                [only] if self.choices[*only].len() == node.path.len() => {
                    self.found.push((*only, node.logprob));
                }
                _ => return Some(node),
            }
        }
        None
    }

    /// Takes the logarithm of each token's probability after `node`.
    pub(crate) fn extend(&mut self, node: &Node, logprob: impl Fn(LlamaToken) -> f64) {
        let depth = node.path.len();
        let first_new = self.open.len();
        for &place in &node.places {
            let Some(&token) = self.choices[place].get(depth) else { continue };
            let same = self.open[first_new..].iter_mut().find(|child| child.path.last() == Some(&token));
            if let Some(child) = same {
                child.places.push(place);
                continue;
            }
            let mut path = node.path.clone();
            path.push(token);
            self.open.push(Node { path, places: vec![place], logprob: node.logprob + logprob(token) });
        }
    }

    /// What was found, once [`Search::next`] gives nothing more.
    pub(crate) fn choice(&self) -> Option<Choice> {
        let &(place, logprob) = self.found.first()?;
        let second = self.found.get(1).map(|second| second.1);
        let others = second.into_iter().chain(self.open.iter().map(|node| node.logprob));
        let against: f64 = others.map(|other| (other - logprob).exp()).sum();
        Some(Choice {
            place,
            logprob,
            margin: second.map(|second| logprob - second),
            share: 1.0 / (1.0 + against),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A model whose scores follow from the path alone.
    fn logprob(path: &[LlamaToken], token: LlamaToken) -> f64 {
        let mut seed = token.0.unsigned_abs().wrapping_mul(2_654_435_761);
        for part in path {
            seed = seed.wrapping_mul(31).wrapping_add(part.0.unsigned_abs().wrapping_mul(40_503));
        }
        -f64::from(seed % 1_000) / 250.0 - 0.01
    }

    fn whole(choice: &[LlamaToken]) -> f64 {
        (0..choice.len()).map(|depth| logprob(&choice[..depth], choice[depth])).sum()
    }

    proptest! {
        #[test]
        fn the_two_likeliest_are_found(words in prop::collection::btree_set(
            prop::collection::vec(1..5_i32, 1..5), 1..12)) {
            // A last token that is nowhere else: no answer is the beginning of another.
            let choices: Vec<Vec<LlamaToken>> = words.iter()
                .map(|word| word.iter().copied().chain([0]).map(LlamaToken).collect()).collect();
            let mut search = Search::new(&choices);
            while let Some(node) = search.next() {
                search.extend(&node, |token| logprob(&node.path, token));
            }
            let found = search.choice().unwrap();
            let mut all: Vec<f64> = choices.iter().map(|choice| whole(choice)).collect();
            prop_assert!((found.logprob - whole(&choices[found.place])).abs() < 1e-9);
            let sum: f64 = all.iter().map(|logprob| logprob.exp()).sum();
            all.sort_by(|one, other| other.total_cmp(one));
            prop_assert!((found.logprob - all[0]).abs() < 1e-9);
            prop_assert!(found.share > 0.0 && found.share <= all[0].exp() / sum + 1e-9);
            match (found.margin, all.get(1)) {
                (Some(margin), Some(second)) => prop_assert!((margin - (all[0] - second)).abs() < 1e-9),
                (margin, second) => prop_assert!(margin.is_none() && second.is_none()),
            }
        }
    }
}
