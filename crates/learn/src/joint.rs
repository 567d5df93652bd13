//! Training many linear outputs over sparse inputs in one pass: one choice among classes, and several yes-or-no answers.
//!
//! Owns the fit. Refuses calibration: scores of held-out folds go through [`crate::train_head`] for that.

use api::{Cell, Linear};

use crate::random::Dice;
use crate::unfit::Unfit;

/// What is right for one example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The class, below [`JointOptions::classes`].
    pub class: usize,
    /// The yes-or-no answers, [`JointOptions::flags`] of them.
    pub flags: Vec<bool>,
}

/// How to train.
#[derive(Clone, Copy, Debug)]
pub struct JointOptions {
    /// Classes to choose from: the first outputs.
    pub classes: usize,
    /// Yes-or-no answers: the outputs after them.
    pub flags: usize,
    /// Features; every cell lies below.
    pub width: usize,
    /// Passes over the examples.
    pub epochs: usize,
    /// The step of the first update of a weight.
    pub rate: f32,
    /// Decides the order of the examples.
    pub seed: u64,
}

/// The bias is a feature of this value: it should follow the classes' shares, and not outrun the features.
const BIAS_CELL: f32 = 0.3;
/// An example whose every answer is within this of right teaches nothing more.
const SETTLED: f32 = 0.01;

/// Fits softmax and logistic outputs by stochastic gradient descent with a step for each weight that shrinks with its
/// gradients (AdaGrad: Duchi, Hazan and Singer, JMLR 2011). Classes weigh alike in sum, however many examples they have.
/// No penalty: the shrinking steps and few epochs keep weights small, which fared better on held-out exemplars than
/// penalties did.
///
/// # Errors
/// There is nothing to learn from, or a row or a target does not fit `options`.
pub fn train_joint(rows: &[&[Cell]], targets: &[&Target], options: &JointOptions) -> Result<Linear, Unfit> {
    check(rows, targets, options)?;
    let outputs = options.classes + options.flags;
    let mut fit = Fit {
        outputs,
        classes: options.classes,
        rate: options.rate,
        weights: vec![0.0; (options.width + 1) * outputs],
        squares: vec![1e-8; (options.width + 1) * outputs],
    };
    let balance = balance(targets, options.classes);
    let bias: Cell = (u32::try_from(options.width).unwrap_or(u32::MAX), BIAS_CELL);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let mut dice = Dice::new(options.seed);
    for _ in 0..options.epochs {
        dice.shuffle(&mut order);
        for &row in &order {
            let target = targets[row];
            let errors = fit.errors(rows[row], bias, target, balance[target.class]);
            if errors.iter().any(|error| error.abs() > SETTLED) {
                fit.step(rows[row], bias, &errors);
            }
        }
    }
    let learnt = fit.weights.split_off(options.width * outputs);
    let bias = learnt.into_iter().map(|weight| weight * BIAS_CELL).collect();
    Linear::new(bias, fit.weights).ok_or(Unfit::TooFew { found: 0, needed: 1 })
}

fn check(rows: &[&[Cell]], targets: &[&Target], options: &JointOptions) -> Result<(), Unfit> {
    if rows.is_empty() || options.classes < 2 {
        return Err(Unfit::TooFew { found: rows.len(), needed: 2 });
    }
    if rows.len() != targets.len() {
        return Err(Unfit::Ragged { row: targets.len(), found: targets.len(), expected: rows.len() });
    }
    for (row, (cells, target)) in rows.iter().zip(targets).enumerate() {
        if let Some((place, _)) = cells.iter().find(|(place, _)| *place as usize >= options.width) {
            return Err(Unfit::Ragged { row, found: *place as usize, expected: options.width });
        }
        if target.class >= options.classes || target.flags.len() != options.flags {
            return Err(Unfit::Ragged { row, found: target.flags.len(), expected: options.flags });
        }
    }
    Ok(())
}

/// What an example of each class weighs.
fn balance(targets: &[&Target], classes: usize) -> Vec<f32> {
    let mut counts = vec![0_usize; classes];
    for target in targets {
        counts[target.class] += 1;
    }
    let even = targets.len() as f32 / classes as f32;
    counts.into_iter().map(|count| even / (count as f32).max(1.0)).collect()
}

struct Fit {
    outputs: usize,
    classes: usize,
    rate: f32,
    /// Feature-major; the last row is the bias'.
    weights: Vec<f32>,
    /// The sum of each weight's squared gradients.
    squares: Vec<f32>,
}

impl Fit {
    /// The gradients of the loss in the scores: probability less truth.
    fn errors(&self, cells: &[Cell], bias: Cell, target: &Target, weight: f32) -> Vec<f32> {
        let mut scores = vec![0.0; self.outputs];
        for (place, value) in cells.iter().chain(std::iter::once(&bias)) {
            let start = *place as usize * self.outputs;
            let row = &self.weights[start..start + self.outputs];
            scores.iter_mut().zip(row).for_each(|(score, weight)| *score += value * weight);
        }
        let (classes, flags) = scores.split_at_mut(self.classes);
        let highest = classes.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        classes.iter_mut().for_each(|score| *score = (*score - highest).exp());
        let total: f32 = classes.iter().sum();
        classes.iter_mut().for_each(|score| *score /= total);
        classes[target.class] -= 1.0;
        classes.iter_mut().for_each(|error| *error *= weight);
        for (score, yes) in flags.iter_mut().zip(&target.flags) {
            *score = 1.0 / (1.0 + (-*score).exp()) - f32::from(u8::from(*yes));
        }
        scores
    }

    fn step(&mut self, cells: &[Cell], bias: Cell, errors: &[f32]) {
        for (place, value) in cells.iter().chain(std::iter::once(&bias)) {
            let start = *place as usize * self.outputs;
            let weights = &mut self.weights[start..start + self.outputs];
            let squares = &mut self.squares[start..start + self.outputs];
            for ((weight, square), error) in weights.iter_mut().zip(squares).zip(errors) {
                let gradient = error * value;
                *square += gradient * gradient;
                *weight -= self.rate * gradient / square.sqrt();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes told by features 0 and 1, a flag told by feature 2, noise in feature 3.
    fn examples() -> (Vec<Vec<Cell>>, Vec<Target>) {
        (0..60_u32)
            .map(|number| {
                let class = (number % 2) as usize;
                let yes = number % 3 == 0;
                let mut cells = vec![(class as u32, 1.0), (3, (number % 7) as f32 / 7.0)];
                if yes {
                    cells.push((2, 1.0));
                }
                (cells, Target { class, flags: vec![yes] })
            })
            .unzip()
    }

    fn train(rows: &[Vec<Cell>], targets: &[Target], options: &JointOptions) -> Result<Linear, Unfit> {
        let rows: Vec<&[Cell]> = rows.iter().map(Vec::as_slice).collect();
        let targets: Vec<&Target> = targets.iter().collect();
        train_joint(&rows, &targets, options)
    }

    const OPTIONS: JointOptions =
        JointOptions { classes: 2, flags: 1, width: 4, epochs: 20, rate: 0.1, seed: 3 };

    #[test]
    fn classes_and_flags_are_learnt_together_and_repeatably() {
        let (rows, targets) = examples();
        let linear = train(&rows, &targets, &OPTIONS).unwrap();
        for (cells, target) in rows.iter().zip(&targets) {
            let scores = linear.scores(cells);
            assert_eq!(usize::from(scores[1] > scores[0]), target.class);
            assert_eq!(scores[2] > 0.0, target.flags[0]);
        }
        assert_eq!(train(&rows, &targets, &OPTIONS).unwrap(), linear);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (rows, targets) = examples();
        assert!(train(&[], &[], &OPTIONS).is_err());
        assert!(train(&rows, &targets[1..], &OPTIONS).is_err());
        assert!(train(&rows, &targets, &JointOptions { width: 3, ..OPTIONS }).is_err());
        assert!(train(&rows, &targets, &JointOptions { flags: 2, ..OPTIONS }).is_err());
    }
}
