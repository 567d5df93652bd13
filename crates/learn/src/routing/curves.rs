//! What a way of routing is worth: the curve of quality over calls or over cost, and the area under it.
//!
//! Owns APGR and CPT for a pair of models (Ong et al. 2024, *RouteLLM*) and the cost-quality area for many (Hu et al. 2024,
//! *RouterBench*). Refuses estimates of quality: only recorded scores and costs are counted.

/// Prices of quality tried when the area for many models is traced.
const PRICES: usize = 160;

/// The curve of a pair: the recovered share of the gap between the models, as calls to the strong one go from none to all.
#[derive(Clone, Debug)]
pub struct PairCurve {
    /// (share of calls to the strong model, share of the gap recovered), ascending.
    points: Vec<(f64, f64)>,
}

impl PairCurve {
    /// Sends the requests with the highest `preference` to the strong model first; equal preferences go together, as
    /// drawing lots among them would on average. `None` if the strong model is not better on these requests.
    pub fn new(preference: &[f32], weak: &[f32], strong: &[f32]) -> Option<Self> {
        let count = preference.len() as f64;
        let gap: f64 = weak.iter().zip(strong).map(|(weak, strong)| f64::from(strong - weak)).sum();
        if gap.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) {
            return None;
        }
        let mut order: Vec<usize> = (0..preference.len()).collect();
        order.sort_by(|&a, &b| preference[b].total_cmp(&preference[a]));
        let (mut calls, mut gained) = (0.0, 0.0);
        let mut points = vec![(0.0, 0.0)];
        for equals in order.chunk_by(|&a, &b| preference[a] == preference[b]) {
            calls += equals.len() as f64;
            gained += equals.iter().map(|&row| f64::from(strong[row] - weak[row])).sum::<f64>();
            points.push((calls / count, gained / gap));
        }
        Some(Self { points })
    }

    /// The mean recovered share over all shares of calls: the average performance gap recovered. 0.5 for a coin.
    pub fn apgr(&self) -> f64 {
        area(&self.points, 0.0, 1.0)
    }

    /// The least share of calls to the strong model that recovers `share` of the gap; 1 where only all of them do.
    pub fn call_share(&self, share: f64) -> f64 {
        for pair in self.points.windows(2) {
            let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
            if y1 >= share {
                return x0 + (x1 - x0) * ((share - y0) / (y1 - y0).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
            }
        }
        1.0
    }
}

/// Mean cost and mean score of a way of routing.
pub type CostQuality = (f64, f64);

/// Recorded scores and costs, row-major tables of one shape: requests by models.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// True scores.
    pub scores: &'a [f32],
    /// True costs.
    pub costs: &'a [f32],
    /// Models.
    pub models: usize,
}

/// Which cell of the tables answers each request, for each price of quality.
#[derive(Clone, Debug)]
pub struct Choices(Vec<Vec<usize>>);

impl Choices {
    /// Sends every request to the model with the highest estimated score minus a price times its expected cost, for prices
    /// from 0 to prohibitive. Both tables are row-major with `models` columns.
    pub fn by_price(estimates: &[f32], expected: &[f32], models: usize) -> Self {
        let costs = || expected.iter().copied().filter(|cost| *cost > 0.0);
        let dearest = f64::from(costs().fold(0.0, f32::max)).max(1e-12);
        let cheapest = f64::from(costs().fold(f32::INFINITY, f32::min)).clamp(1e-12, dearest);
        let (least, most) = (1e-4 / dearest, 4.0 / cheapest);
        let choose = |price: f64| {
            let rows = estimates.chunks_exact(models.max(1)).zip(expected.chunks_exact(models.max(1)));
            rows.enumerate()
                .map(|(row, (scores, costs))| row * models + worthiest(scores, costs, price))
                .collect()
        };
        let price = |step: usize| match step.checked_sub(1) {
            None => 0.0,
            Some(along) => least * (most / least).powf(along as f64 / (PRICES - 2) as f64),
        };
        Self((0..PRICES).map(|step| choose(price(step))).collect())
    }

    /// Every request to one and the same model, for each model.
    pub fn singles(rows: usize, models: usize) -> Self {
        Self((0..models).map(|model| (0..rows).map(|row| row * models + model).collect()).collect())
    }
}

fn worthiest(scores: &[f32], costs: &[f32], price: f64) -> usize {
    let worth: Vec<f64> =
        scores.iter().zip(costs).map(|(score, cost)| f64::from(*score) - price * f64::from(*cost)).collect();
    let mut best = 0;
    for (model, value) in worth.iter().enumerate() {
        // Of equals the cheaper.
        if *value > worth[best] || (*value == worth[best] && costs[model] < costs[best]) {
            best = model;
        }
    }
    best
}

impl Field<'_> {
    /// Mean cost and score of each of the choices over `rows`.
    pub fn points(&self, choices: &Choices, rows: &[usize]) -> Vec<CostQuality> {
        let count = rows.len().max(1) as f64;
        let mean = |cells: &Vec<usize>| {
            let (mut cost, mut score) = (0.0, 0.0);
            for &row in rows {
                cost += f64::from(self.costs[cells[row]]);
                score += f64::from(self.scores[cells[row]]);
            }
            (cost / count, score / count)
        };
        choices.0.iter().map(mean).collect()
    }

    /// The cost-quality area of `choices` over `rows`, between the cheapest and the dearest single model.
    pub fn area(&self, choices: &Choices, singles: &Choices, rows: &[usize]) -> f64 {
        let costs: Vec<f64> = self.points(singles, rows).into_iter().map(|point| point.0).collect();
        let from = costs.iter().copied().fold(f64::INFINITY, f64::min);
        let to = costs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        cost_quality_area(&self.points(choices, rows), from, to)
    }
}

/// The area under the upper, never falling hull of `points`, between the costs `from` and `to`, divided by their distance:
/// the mean quality over budgets in that range. Mixing two points by lot reaches all that lies between them.
pub fn cost_quality_area(points: &[CostQuality], from: f64, to: f64) -> f64 {
    let hull = hull(points);
    match hull.as_slice() {
        [] => 0.0,
        [only] => only.1,
        _ => area(&hull, from, to),
    }
}

/// The upper convex hull, ascending in cost, that ends at the best quality.
fn hull(points: &[CostQuality]) -> Vec<CostQuality> {
    let mut sorted: Vec<CostQuality> = points.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut hull: Vec<CostQuality> = Vec::new();
    for point in sorted {
        if hull.last().is_some_and(|last| point.1 <= last.1) {
            continue;
        }
        while let [.., before, last] = hull.as_slice() {
            let rise = (last.1 - before.1) * (point.0 - before.0);
            if rise > (point.1 - before.1) * (last.0 - before.0) {
                break;
            }
            hull.pop();
        }
        hull.push(point);
    }
    hull
}

/// The mean height between `from` and `to` of the line through `points` (ascending), flat beyond its last point, and
/// below its first point the first height: a budget too small for any point still buys the cheapest one.
fn area(points: &[(f64, f64)], from: f64, to: f64) -> f64 {
    let height = |x: f64| -> f64 {
        let after = points.partition_point(|point| point.0 < x);
        match (after.checked_sub(1).map(|before| points[before]), points.get(after)) {
            (Some((x0, y0)), Some(&(x1, y1))) => y0 + (y1 - y0) * (x - x0) / (x1 - x0).max(f64::MIN_POSITIVE),
            (Some((_, y)), None) | (None, Some(&(_, y))) => y,
            (None, None) => 0.0,
        }
    };
    if to <= from {
        return height(from);
    }
    let mut stops: Vec<f64> = points.iter().map(|point| point.0).filter(|x| *x > from && *x < to).collect();
    stops.insert(0, from);
    stops.push(to);
    let sum: f64 =
        stops.windows(2).map(|pair| (pair[1] - pair[0]) * (height(pair[0]) + height(pair[1])) / 2.0).sum();
    sum / (to - from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pair_by_hand() {
        // The strong model wins requests 0 and 1, loses 2, ties on 3: the gap is 1.
        let (weak, strong) = ([0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 1.0]);
        let curve = PairCurve::new(&[4.0, 3.0, 1.0, 2.0], &weak, &strong).unwrap();
        // Heights 0, 1, 2, 2, 1 at quarters.
        assert!((curve.apgr() - 5.5 / 4.0).abs() < 1e-9);
        assert!((curve.call_share(0.5) - 0.125).abs() < 1e-9);
        assert!((PairCurve::new(&[1.0; 4], &weak, &strong).unwrap().apgr() - 0.5).abs() < 1e-9);
        assert!(PairCurve::new(&[1.0; 4], &strong, &weak).is_none());
    }

    #[test]
    fn the_hull_by_hand() {
        let points = [(1.0, 0.5), (3.0, 0.9), (2.0, 0.6), (4.0, 0.8)];
        assert_eq!(hull(&points), [(1.0, 0.5), (3.0, 0.9)]);
        // 0.5 to 0.9 over two, then flat over one.
        assert!((cost_quality_area(&points, 1.0, 4.0) - (0.7 * 2.0 + 0.9) / 3.0).abs() < 1e-9);
        assert_eq!(cost_quality_area(&[], 0.0, 1.0), 0.0);
    }

    #[test]
    fn true_estimates_beat_every_single_model() {
        let scores = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0];
        let costs = [1.0, 2.0, 1.0, 2.0, 1.0, 2.0];
        let field = Field { scores: &scores, costs: &costs, models: 2 };
        let singles = Choices::singles(3, 2);
        let routed = field.area(&Choices::by_price(&scores, &costs, 2), &singles, &[0, 1, 2]);
        assert!(routed > field.area(&singles, &singles, &[0, 1, 2]) + 0.1, "{routed}");
    }

    proptest! {
        #[test]
        fn a_dominated_point_never_changes_the_area(points in prop::collection::vec((1.0_f64..9.0, 0.0_f64..1.0), 1..12)) {
            let mut more = points.clone();
            more.push((points[0].0 + 0.5, points[0].1 - 0.1));
            let (without, with) = (cost_quality_area(&points, 1.0, 9.0), cost_quality_area(&more, 1.0, 9.0));
            prop_assert!((without - with).abs() < 1e-9);
        }
    }
}
