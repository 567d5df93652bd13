//! L-BFGS: finds the lowest point of a smooth convex function from its values and gradients.
//!
//! Owns the search (Nocedal and Wright, *Numerical Optimization*, algorithm 7.5 with a backtracking Armijo line
//! search). Refuses to know what it minimises.

/// Pairs of steps and gradient changes remembered.
const MEMORY: usize = 10;
/// Share of the predicted decrease that a step must bring.
const ARMIJO: f64 = 1e-4;
/// Halvings of one step before the search gives up: the function is then flat to f32 precision.
const HALVINGS_MAX: usize = 12;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Steps at most.
    pub(crate) steps_max: usize,
    /// Stop when a step lowers the value by less than this share of it.
    pub(crate) tolerance: f64,
}

/// One remembered step.
struct Pair {
    step: Vec<f32>,
    change: Vec<f32>,
    curvature: f64,
}

/// Moves `point` to where `function` is lowest. `function` writes the gradient at its first argument to its second and
/// returns the value. Returns the value reached.
pub(crate) fn descend(
    point: &mut Vec<f32>,
    patience: Patience,
    mut function: impl FnMut(&[f32], &mut [f32]) -> f64,
) -> f64 {
    let mut gradient = vec![0.0; point.len()];
    let mut value = function(point, &mut gradient);
    let mut memory: Vec<Pair> = Vec::with_capacity(MEMORY);
    let mut next_gradient = vec![0.0; point.len()];
    for _ in 0..patience.steps_max {
        let mut direction = downhill(&memory, &gradient);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            memory.clear();
            direction = downhill(&memory, &gradient);
            slope = dot(&direction, &gradient);
        }
        if slope == 0.0 || !slope.is_finite() {
            break;
        }
        let mut length = 1.0_f32;
        let mut found = None;
        for _ in 0..HALVINGS_MAX {
            let candidate: Vec<f32> = point.iter().zip(&direction).map(|(p, d)| p + length * d).collect();
            let reached = function(&candidate, &mut next_gradient);
            if reached.is_finite() && reached <= value + ARMIJO * f64::from(length) * slope {
                found = Some((candidate, reached));
                break;
            }
            length *= 0.5;
        }
        let Some((candidate, reached)) = found else { break };
        remember(&mut memory, point, &candidate, &gradient, &next_gradient);
        let gained = value - reached;
        *point = candidate;
        value = reached;
        std::mem::swap(&mut gradient, &mut next_gradient);
        if gained <= patience.tolerance * value.abs() {
            break;
        }
    }
    value
}

/// The two-loop recursion: minus the inverse curvature, as remembered, times the gradient.
fn downhill(memory: &[Pair], gradient: &[f32]) -> Vec<f32> {
    let mut direction: Vec<f32> = gradient.iter().map(|value| -value).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for pair in memory.iter().rev() {
        let share = dot(&pair.step, &direction) / pair.curvature;
        add(&mut direction, -share, &pair.change);
        shares.push(share);
    }
    let scale = match memory.last() {
        Some(pair) => pair.curvature / dot(&pair.change, &pair.change).max(f64::MIN_POSITIVE),
        // The first step has length 1: the functions fitted here have curvature of about 1 or less.
        None => 1.0 / dot(gradient, gradient).sqrt().max(1.0),
    };
    for value in &mut direction {
        *value *= scale as f32;
    }
    for (pair, share) in memory.iter().zip(shares.into_iter().rev()) {
        let back = dot(&pair.change, &direction) / pair.curvature;
        add(&mut direction, share - back, &pair.step);
    }
    direction
}

/// Keeps the step if it carries curvature; the oldest gives way.
fn remember(memory: &mut Vec<Pair>, from: &[f32], to: &[f32], before: &[f32], after: &[f32]) {
    let step: Vec<f32> = to.iter().zip(from).map(|(t, f)| t - f).collect();
    let change: Vec<f32> = after.iter().zip(before).map(|(a, b)| a - b).collect();
    let curvature = dot(&step, &change);
    if curvature <= 1e-10 * dot(&change, &change) {
        return;
    }
    if memory.len() == MEMORY {
        memory.remove(0);
    }
    memory.push(Pair { step, change, curvature });
}

/// The dot product with eight sums side by side (see `api::cosine`), in f64 across blocks so that long vectors keep
/// their small terms.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.chunks(1024).zip(b.chunks(1024)).map(|(x, y)| f64::from(api::cosine(x, y))).sum()
}

fn add(target: &mut [f32], share: f64, source: &[f32]) {
    let share = share as f32;
    for (value, change) in target.iter_mut().zip(source) {
        *value += share * change;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_bottom_of_a_long_valley() {
        // Curvatures from 1 to 1,000, bottom at 1, 2, 3, ...
        let mut point = vec![0.0; 20];
        descend(&mut point, Patience { steps_max: 200, tolerance: 0.0 }, |x, gradient| {
            let mut value = 0.0;
            for (place, &coordinate) in x.iter().enumerate() {
                let curvature = 1000_f32.powf(place as f32 / 19.0);
                let off = coordinate - (place + 1) as f32;
                gradient[place] = curvature * off;
                value += f64::from(0.5 * curvature * off * off);
            }
            value
        });
        for (place, coordinate) in point.iter().enumerate() {
            assert!((coordinate - (place + 1) as f32).abs() < 1e-2, "{place}: {coordinate}");
        }
    }

    #[test]
    fn stays_at_the_bottom() {
        let mut point = vec![0.0; 3];
        let value = descend(&mut point, Patience { steps_max: 5, tolerance: 1e-9 }, |_, gradient| {
            gradient.fill(0.0);
            4.0
        });
        assert_eq!((value, point), (4.0, vec![0.0; 3]));
    }
}
