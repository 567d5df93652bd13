//! Regions of the space, for leaving whole ones out: spherical k-means.

use crate::random::Dice;

/// Rounds of assignment and averaging.
const ROUNDS: usize = 15;

/// The region of each point, `0..count`. Points are compared by direction.
pub(super) fn clusters(points: &[&[f32]], count: usize, seed: u64) -> Vec<usize> {
    let mut dice = Dice::new(seed);
    let mut order: Vec<usize> = (0..points.len()).collect();
    dice.shuffle(&mut order);
    let mut centres: Vec<Vec<f32>> = order.iter().take(count).map(|&row| points[row].to_vec()).collect();
    for centre in &mut centres {
        let length = api::cosine(centre, centre).sqrt().max(f32::MIN_POSITIVE);
        centre.iter_mut().for_each(|value| *value /= length);
    }
    let mut assigned = vec![0; points.len()];
    for _ in 0..ROUNDS {
        for (place, point) in assigned.iter_mut().zip(points) {
            let closeness: Vec<f32> = centres.iter().map(|centre| api::cosine(centre, point)).collect();
            *place = crate::head::best(&closeness);
        }
        for (number, centre) in centres.iter_mut().enumerate() {
            let mut sum = vec![0.0; centre.len()];
            for (_, point) in assigned.iter().zip(points).filter(|(place, _)| **place == number) {
                sum.iter_mut().zip(*point).for_each(|(total, value)| *total += value);
            }
            let length = api::cosine(&sum, &sum).sqrt();
            if length > 0.0 {
                *centre = sum.into_iter().map(|value| value / length).collect();
            }
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clouds_are_two_regions() {
        let points: Vec<Vec<f32>> = (0..40)
            .map(|row| {
                let angle = if row % 2 == 0 { 0.0_f32 } else { 2.0 } + row as f32 * 0.01;
                vec![angle.cos(), angle.sin()]
            })
            .collect();
        let points: Vec<&[f32]> = points.iter().map(Vec::as_slice).collect();
        let assigned = clusters(&points, 2, 3);
        assert!(assigned.iter().enumerate().all(|(row, &place)| place == assigned[row % 2]));
    }
}
