//! Whom to believe: non-negative weights for the experts, measured on requests that they had not seen.
//!
//! Owns the measurement. Every expert is judged on folds drawn at random (requests like those seen) and, where the trials
//! know enough groups, on folds that leave whole groups out (requests unlike them). Experts count for as much as the
//! request is familiar; those that look at form alone are heard once more, anywhere, if groups left out have shown that
//! experts carry over. Refuses habits for what was not measured: where nothing is known the prior remains.

use serde::{Deserialize, Serialize};

use super::experts::{CARRIED, EXPERTS};

/// Sweeps of coordinate descent; seven unknowns settle in a few dozen.
const SWEEPS: usize = 300;
/// What is weighed: the experts that may carry over, anywhere; then all of them, by familiarity.
const INPUTS: usize = CARRIED + EXPERTS;

/// Weights that the measured ones are drawn to, as if they had been best for so many judged answers.
#[derive(Clone, Copy)]
struct Habit {
    weights: [f64; INPUTS],
    answers: f64,
    /// Inputs before this one keep their habit.
    first: usize,
}

/// Where nothing has shown that experts carry over. Near these weights RouteLLM's sets rank best: squared error alone would
/// hear length less and words more. Three times as many answers cost 0.001 of area on a foreign set (grade-school sums).
const AT_HOME: Habit =
    Habit { weights: [0.0, 0.0, 0.3, 0.1, 0.12, 0.6, 0.4], answers: 10_000.0, first: CARRIED };
/// Where groups left out have shown it, for telling models apart; how hard a request is remains for [`AT_HOME`], or estimates
/// are surer than they may be. With 60,000 answers, subjects of MMLU left out lose 0.002 APGR and strangers (GSM8K) 0.006;
/// within MMLU 0.001 is gained.
const ABROAD: Habit = Habit { weights: [0.5, 0.1, 0.0, 0.0, 0.1, 0.9, 0.5], answers: 200_000.0, first: 0 };

/// What length counts for where nothing has shown that it carries over: enough to order requests that are otherwise equal.
/// Ten times as much costs 0.09 of area on a foreign set (mbpp).
const HINT: f64 = 0.01;

/// Weights of the experts' deviations from the prior.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trust {
    /// For what all models have in common: how hard the request is.
    pub(crate) difficulty: [f32; INPUTS],
    /// For what tells the models apart: who is the better one for it.
    pub(crate) comparison: [f32; INPUTS],
}

/// What the experts say as it is weighed, for a request of this familiarity.
fn heard(said: [f32; EXPERTS], familiarity: f32) -> [f32; INPUTS] {
    std::array::from_fn(|place| match place.checked_sub(CARRIED) {
        None => said[place],
        Some(expert) => familiarity * said[expert],
    })
}

/// Collects the normal equations of one least-squares problem in [`INPUTS`] unknowns.
#[derive(Default)]
struct Equations {
    products: [[f64; INPUTS]; INPUTS],
    sides: [f64; INPUTS],
    count: f64,
}

impl Equations {
    fn add(&mut self, inputs: &[f32; INPUTS], target: f32) {
        self.count += 1.0;
        for (left, row) in self.products.iter_mut().enumerate() {
            for (right, product) in row.iter_mut().enumerate() {
                *product += f64::from(inputs[left] * inputs[right]);
            }
            self.sides[left] += f64::from(inputs[left] * target);
        }
    }

    /// The non-negative least squares solution by coordinate descent, drawn towards the habit as if that had been the best
    /// answer to so many more cases.
    fn solve(&self, habit: Habit) -> [f32; INPUTS] {
        let mut weights = habit.weights;
        let share = habit.answers / self.count.max(1.0);
        for _ in 0..SWEEPS {
            for place in habit.first..INPUTS {
                let own = self.products[place][place];
                let pull = own * share + f64::MIN_POSITIVE;
                let others: f64 = (0..INPUTS)
                    .filter(|&other| other != place)
                    .map(|other| self.products[place][other] * weights[other])
                    .sum();
                let wanted = self.sides[place] - others + pull * habit.weights[place];
                weights[place] = (wanted / (own + pull)).max(0.0);
            }
        }
        weights[0] = weights[0].max(HINT);
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
    pub(crate) fn add(
        &mut self,
        experts: [&[f32]; EXPERTS],
        priors: &[f32],
        truth: &[f32],
        familiarity: f32,
    ) {
        let known: Vec<usize> = (0..truth.len()).filter(|&model| truth[model].is_finite()).collect();
        if known.is_empty() {
            return;
        }
        let count = known.len() as f32;
        let common =
            |values: &[f32]| known.iter().map(|&model| values[model] - priors[model]).sum::<f32>() / count;
        let shared = experts.map(common);
        let shared_truth = common(truth);
        self.difficulty.add(&heard(shared, familiarity), shared_truth);
        for &model in &known {
            let mut own = [0.0; EXPERTS];
            for (place, expert) in experts.iter().enumerate() {
                own[place] = expert[model] - priors[model] - shared[place];
            }
            self.comparison.add(&heard(own, familiarity), truth[model] - priors[model] - shared_truth);
        }
    }

    /// Whom to trust by what was added; `carried` if groups left out have shown that experts carry over.
    pub(crate) fn trust(&self, carried: bool) -> Trust {
        let habit = if carried { ABROAD } else { AT_HOME };
        Trust { difficulty: self.difficulty.solve(AT_HOME), comparison: self.comparison.solve(habit) }
    }
}

impl Trust {
    /// Before anything is measured, as if experts carried over.
    pub(crate) fn untried() -> Self {
        let [difficulty, comparison] =
            [AT_HOME, ABROAD].map(|habit| habit.weights.map(|weight| weight as f32));
        Self { difficulty, comparison }
    }

    /// The blended score of every model for a request of this familiarity.
    pub(crate) fn blend(&self, experts: [&[f32]; EXPERTS], priors: &[f32], familiarity: f32) -> Vec<f32> {
        let count = priors.len().max(1) as f32;
        let weigh = |weights: &[f32; INPUTS], said: [f32; EXPERTS]| -> f32 {
            weights.iter().zip(heard(said, familiarity)).map(|(weight, value)| weight * value).sum()
        };
        let shared = experts
            .map(|expert| expert.iter().zip(priors).map(|(value, prior)| value - prior).sum::<f32>() / count);
        let common = weigh(&self.difficulty, shared);
        let own =
            |model: usize| std::array::from_fn(|place| experts[place][model] - priors[model] - shared[place]);
        (0..priors.len()).map(|model| priors[model] + common + weigh(&self.comparison, own(model))).collect()
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
            scales.add([&prior, &prior, &noise, &truth, &prior], &prior, &truth, 1.0);
        }
        let trust = scales.trust(false);
        let told_apart = |expert: usize| trust.comparison[CARRIED + expert];
        assert!(told_apart(3) > 0.9 && told_apart(2) < 0.05, "{trust:?}");
        let experts: [&[f32]; EXPERTS] = [&[0.5; 2], &[0.5; 2], &[0.5; 2], &[0.9, 0.2], &[0.5; 2]];
        let blended = trust.blend(experts, &[0.5; 2], 1.0);
        assert!((blended[0] - 0.9).abs() < 0.05 && (blended[1] - 0.2).abs() < 0.05, "{blended:?}");
        assert_eq!(trust.blend(experts, &[0.5; 2], 0.0), [0.5; 2]);
    }

    #[test]
    fn form_carries_over_only_where_groups_have_shown_it() {
        let mut scales = Scales::default();
        for row in 0..60_000 {
            let truth = if row % 2 == 0 { [0.9, 0.1] } else { [0.1, 0.9] };
            scales.add([&truth, &[0.5; 2], &[0.5; 2], &[0.5; 2], &[0.5; 2]], &[0.5; 2], &truth, 0.0);
        }
        assert!(scales.trust(true).comparison[0] > 0.4);
        assert!(scales.trust(false).comparison[0] < 0.05);
    }
}
