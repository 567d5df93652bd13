//! Whom to believe: non-negative weights for the experts, measured on requests that they had not seen.
//!
//! Owns the two measurements. Every expert is judged once on folds drawn at random (requests like those seen) and once
//! on folds that leave whole groups out (requests unlike them); a request is answered with weights between the two, by how
//! familiar it is. An expert that does not carry over gets no weight abroad, and where none does the prior remains.

use serde::{Deserialize, Serialize};

use super::experts::EXPERTS;

/// Sweeps of coordinate descent; six unknowns settle in a few dozen.
const SWEEPS: usize = 300;
/// Weights before anything is measured, and what they count for against what is.
pub(crate) struct Habit {
    weights: [f64; EXPERTS],
    pull: Pull,
}

/// How much a habit counts for.
enum Pull {
    /// As much as so many judged answers.
    Answers(f64),
    /// As much as all that is measured, however much it is.
    Half,
}

/// For requests like those seen: about what RouteLLM's sets settle on. With 1,500 trials of two models the habit is a
/// better judge than those trials, by 0.01 APGR.
pub(crate) const AT_HOME: Habit =
    Habit { weights: [0.0, 0.02, 0.3, 0.2, 0.2, 0.65], pull: Pull::Answers(10_000.0) };
/// For requests as unlike those seen as these are unlike one another. However many answers there are, the regions left
/// out are few, and the next foreign set is one more: habit keeps half of the say.
pub(crate) const ABROAD: Habit = Habit { weights: [0.8, 0.2, 0.0, 0.0, 0.0, 0.4], pull: Pull::Half };
/// For requests unlike anything: length and plain form are what carries over from one set to another.
const ALIEN: [f32; EXPERTS] = [0.7, 0.3, 0.0, 0.0, 0.0, 0.1];

/// Weights of the experts' deviations from the prior.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trust {
    /// For what all models have in common: how hard the request is.
    pub(crate) difficulty: [f32; EXPERTS],
    /// For what tells the models apart: who is the better one for it.
    pub(crate) comparison: [f32; EXPERTS],
}

/// Collects the normal equations of one least-squares problem in [`EXPERTS`] unknowns.
#[derive(Default)]
struct Equations {
    products: [[f64; EXPERTS]; EXPERTS],
    sides: [f64; EXPERTS],
    count: f64,
}

impl Equations {
    fn add(&mut self, inputs: &[f32; EXPERTS], target: f32) {
        self.count += 1.0;
        for (left, row) in self.products.iter_mut().enumerate() {
            for (right, product) in row.iter_mut().enumerate() {
                *product += f64::from(inputs[left] * inputs[right]);
            }
            self.sides[left] += f64::from(inputs[left] * target);
        }
    }

    /// The non-negative least squares solution by coordinate descent, drawn towards `habit` as if that had been the best
    /// answer to so many more cases.
    fn solve(&self, habit: &Habit) -> [f32; EXPERTS] {
        let mut weights = habit.weights;
        let share = match habit.pull {
            Pull::Answers(answers) => answers / self.count.max(1.0),
            Pull::Half => 1.0,
        };
        for _ in 0..SWEEPS {
            for place in 0..EXPERTS {
                let own = self.products[place][place];
                let pull = own * share + f64::MIN_POSITIVE;
                let others: f64 = (0..EXPERTS)
                    .filter(|&other| other != place)
                    .map(|other| self.products[place][other] * weights[other])
                    .sum();
                let wanted = self.sides[place] - others + pull * habit.weights[place];
                weights[place] = (wanted / (own + pull)).max(0.0);
            }
        }
        weights.map(|weight| weight as f32)
    }
}

/// Gathers held-out predictions and says whom to trust.
#[derive(Default)]
pub(crate) struct Scales {
    difficulty: Equations,
    comparison: Equations,
}

impl Scales {
    /// Adds one request: each expert's predictions, the prior and the truth, one number per model. Models whose truth is
    /// not known do not count.
    pub(crate) fn add(&mut self, experts: [&[f32]; EXPERTS], priors: &[f32], truth: &[f32]) {
        let known: Vec<usize> = (0..truth.len()).filter(|&model| truth[model].is_finite()).collect();
        if known.is_empty() {
            return;
        }
        let count = known.len() as f32;
        let common =
            |values: &[f32]| known.iter().map(|&model| values[model] - priors[model]).sum::<f32>() / count;
        let shared = experts.map(common);
        let shared_truth = common(truth);
        self.difficulty.add(&shared, shared_truth);
        for &model in &known {
            let mut own = [0.0; EXPERTS];
            for (place, expert) in experts.iter().enumerate() {
                own[place] = expert[model] - priors[model] - shared[place];
            }
            self.comparison.add(&own, truth[model] - priors[model] - shared_truth);
        }
    }

    /// Whom to trust, from `habit` and what was added.
    pub(crate) fn trust(&self, habit: &Habit) -> Trust {
        Trust { difficulty: self.difficulty.solve(habit), comparison: self.comparison.solve(habit) }
    }
}

impl Trust {
    /// Whom to trust on what is unlike anything seen; nothing is measured for it.
    pub(crate) const fn alien() -> Self {
        Self { difficulty: ALIEN, comparison: ALIEN }
    }

    /// Whom to trust where there are too few trials to measure anything: the neighbours, who shrink by themselves.
    pub(crate) const fn neighbours() -> Self {
        const LAST: [f32; EXPERTS] = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        Self { difficulty: LAST, comparison: LAST }
    }

    /// Weights on the way from `self` (0) to `other` (1).
    pub(crate) fn towards(&self, other: &Self, share: f32) -> Self {
        let between = |from: [f32; EXPERTS], to: [f32; EXPERTS]| {
            let mut weights = [0.0; EXPERTS];
            for (place, weight) in weights.iter_mut().enumerate() {
                *weight = from[place] + share * (to[place] - from[place]);
            }
            weights
        };
        Self {
            difficulty: between(self.difficulty, other.difficulty),
            comparison: between(self.comparison, other.comparison),
        }
    }

    /// The blended score of every model.
    pub(crate) fn blend(&self, experts: [&[f32]; EXPERTS], priors: &[f32]) -> Vec<f32> {
        let count = priors.len().max(1) as f32;
        let mut blended = priors.to_vec();
        for (place, expert) in experts.iter().enumerate() {
            let shared = expert.iter().zip(priors).map(|(value, prior)| value - prior).sum::<f32>() / count;
            for (model, score) in blended.iter_mut().enumerate() {
                let own = expert[model] - priors[model] - shared;
                *score += self.difficulty[place] * shared + self.comparison[place] * own;
            }
        }
        blended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Dice;

    #[test]
    fn an_honest_expert_is_believed_and_a_noisy_one_is_not() {
        let mut dice = Dice::new(4);
        let mut scales = Scales::default();
        for _ in 0..60_000 {
            let truth = [dice.uniform(), dice.uniform()];
            let noise = [dice.uniform(), dice.uniform()];
            let prior = [0.5, 0.5];
            scales.add([&truth, &noise, &prior, &prior, &prior, &prior], &prior, &truth);
        }
        let trust = scales.trust(&AT_HOME);
        assert!(trust.comparison[0] > 0.9 && trust.comparison[1] < 0.05, "{trust:?}");
        let blended =
            trust.blend([&[0.9, 0.2], &[0.5; 2], &[0.5; 2], &[0.5; 2], &[0.5; 2], &[0.5; 2]], &[0.5; 2]);
        assert!((blended[0] - 0.9).abs() < 0.05 && (blended[1] - 0.2).abs() < 0.05, "{blended:?}");
    }

    #[test]
    fn without_evidence_habit_remains() {
        let trust = Scales::default().trust(&ABROAD);
        assert_eq!(trust.comparison, ABROAD.weights.map(|weight| weight as f32));
        assert_eq!(trust.blend([&[0.4, 0.6]; EXPERTS], &[0.4, 0.6]), [0.4, 0.6]);
    }
}
