//! What the book adds up to: a table by day, track and model, and what the same traffic would have cost on the reference
//! model. Owns the sums and their two shapes, an aligned table and JSON; refuses to keep records.

use std::collections::BTreeMap;
use std::fmt;

use api::{Money, Track};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::day;
use crate::read::Damage;
use crate::record::{Cached, Record};

/// Sums over some records.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Exchanges.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
    /// Those answered from the cache.
    pub cache_hits: u64,
    /// Prompt tokens.
    pub tokens_in: u64,
    /// Completion tokens.
    pub tokens_out: u64,
    /// What they cost.
    pub cost: Money,
    /// What they would have cost on the reference model.
    pub reference_cost: Money,
    whole: Quantiles,
}

impl Row {
    fn add(&mut self, record: &Record) {
        self.requests += 1;
        self.errors += u64::from(record.failed());
        self.cache_hits += u64::from(record.cache == Cached::Hit);
        self.tokens_in = self.tokens_in.saturating_add(record.tokens.prompt);
        self.tokens_out = self.tokens_out.saturating_add(record.tokens.completion);
        self.cost += record.cost;
        self.reference_cost += record.reference_cost;
        self.whole.add(record.whole_ms);
    }

    /// What was saved against the reference model; negative where more was spent.
    pub fn saved(&self) -> Money {
        self.reference_cost - self.cost
    }

    /// The time, in milliseconds and within 1 %, that a `share` (0 to 1) of the exchanges did not exceed.
    pub fn whole_ms(&self, share: f64) -> f64 {
        self.whole.at(share)
    }
}

/// A histogram whose buckets grow by 2 %: a quantile is known within 1 % and memory does not grow with the traffic.
#[derive(Clone, Debug, Default)]
struct Quantiles {
    buckets: BTreeMap<u16, u64>,
    count: u64,
}

impl Quantiles {
    const GROWTH: f64 = 1.02;
    /// Everything faster falls into bucket 0.
    const LEAST_MS: f64 = 0.01;

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range first")]
    fn add(&mut self, ms: f64) {
        let steps = (ms / Self::LEAST_MS).ln() / Self::GROWTH.ln();
        // NaN becomes 0 in the cast.
        let bucket = steps.ceil().clamp(0.0, f64::from(u16::MAX)) as u16;
        *self.buckets.entry(bucket).or_default() += 1;
        self.count += 1;
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count times a share of it"
    )]
    fn at(&self, share: f64) -> f64 {
        let rank = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut passed = 0;
        for (bucket, count) in &self.buckets {
            passed += count;
            if passed >= rank {
                // The middle of the bucket by ratio.
                return Self::LEAST_MS * Self::GROWTH.powf(f64::from(*bucket) - 0.5);
            }
        }
        0.0
    }
}

/// What rows are told apart by: the UTC day, the track and the model.
type RowKey = (String, Option<Track>, String);

/// Sums by day, track and model, in this order, and over all.
#[derive(Clone, Debug, Default)]
pub struct Report {
    rows: BTreeMap<RowKey, Row>,
    total: Row,
    damage: Vec<Damage>,
}

/// Adds up `records` as [`crate::read()`] gives them; damaged places are told at the report's end.
pub fn report(records: impl IntoIterator<Item = Result<Record, Damage>>) -> Report {
    let mut report = Report::default();
    for record in records {
        match record {
            Ok(record) => report.add(&record),
            Err(damage) => report.damage.push(damage),
        }
    }
    report
}

impl Report {
    /// Adds one record.
    pub fn add(&mut self, record: &Record) {
        let key = (day::date(record.at_ms), record.track, record.model.clone());
        self.rows.entry(key).or_default().add(record);
        self.total.add(record);
    }

    /// Each day (`2026-11-03`), track and model with its sums, in order. The model is empty where none answered.
    pub fn rows(&self) -> impl Iterator<Item = (&str, Option<Track>, &str, &Row)> {
        self.rows.iter().map(|((day, track, model), row)| (day.as_str(), *track, model.as_str(), row))
    }

    /// The sums over all records.
    pub fn total(&self) -> &Row {
        &self.total
    }

    /// Places of the book that could not be read: what stood there is not in the sums.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }
}

const COLUMNS: [&str; 13] = [
    "day",
    "track",
    "model",
    "requests",
    "errors",
    "cached",
    "tokens in",
    "tokens out",
    "cost USD",
    "reference USD",
    "saved USD",
    "p50 ms",
    "p95 ms",
];
/// Names stand on the left of their columns, numbers on the right.
const NAMES: usize = 3;

fn cells(day: &str, track: &str, model: &str, row: &Row) -> [String; COLUMNS.len()] {
    [
        day.to_owned(),
        track.to_owned(),
        if model.is_empty() { "-".to_owned() } else { model.to_owned() },
        row.requests.to_string(),
        row.errors.to_string(),
        row.cache_hits.to_string(),
        row.tokens_in.to_string(),
        row.tokens_out.to_string(),
        format!("{:.6}", row.cost.usd()),
        format!("{:.6}", row.reference_cost.usd()),
        format!("{:.6}", row.saved().usd()),
        format!("{:.1}", row.whole_ms(0.5)),
        format!("{:.1}", row.whole_ms(0.95)),
    ]
}

impl fmt::Display for Report {
    /// An aligned table, its last row the total; below it the damage, if any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![COLUMNS.map(str::to_owned)];
        for (day, track, model, row) in self.rows() {
            lines.push(cells(day, track.map_or("-", Track::name), model, row));
        }
        lines.push(cells("total", "", "", &self.total));
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; COLUMNS.len()] = std::array::from_fn(width);
        for line in &lines {
            let mut text = String::new();
            for (column, cell) in line.iter().enumerate() {
                let (gap, width) = (if column == 0 { "" } else { "  " }, widths[column]);
                if column < NAMES {
                    text += &format!("{gap}{cell:<width$}");
                } else {
                    text += &format!("{gap}{cell:>width$}");
                }
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        for damage in &self.damage {
            writeln!(f, "not counted, the book is damaged: {damage}")?;
        }
        Ok(())
    }
}

impl Serialize for Report {
    /// `{"rows":[..],"total":{..},"damage":["FILE at byte N: why"]}`; amounts in dollars, times in milliseconds.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows: Vec<RowJson<'_>> = self
            .rows()
            .map(|(day, track, model, row)| RowJson { of: Some((day, track, model)), row })
            .collect();
        let damage: Vec<String> = self.damage.iter().map(Damage::to_string).collect();
        let mut report = serializer.serialize_struct("Report", 3)?;
        report.serialize_field("rows", &rows)?;
        report.serialize_field("total", &RowJson { of: None, row: &self.total })?;
        report.serialize_field("damage", &damage)?;
        report.end()
    }
}

struct RowJson<'a> {
    of: Option<(&'a str, Option<Track>, &'a str)>,
    row: &'a Row,
}

impl Serialize for RowJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = self.row;
        let mut fields = serializer.serialize_struct("Row", COLUMNS.len())?;
        if let Some((day, track, model)) = self.of {
            fields.serialize_field("day", day)?;
            fields.serialize_field("track", &track)?;
            fields.serialize_field("model", model)?;
        }
        fields.serialize_field("requests", &row.requests)?;
        fields.serialize_field("errors", &row.errors)?;
        fields.serialize_field("cache_hits", &row.cache_hits)?;
        fields.serialize_field("tokens_in", &row.tokens_in)?;
        fields.serialize_field("tokens_out", &row.tokens_out)?;
        fields.serialize_field("cost_usd", &row.cost.usd())?;
        fields.serialize_field("reference_usd", &row.reference_cost.usd())?;
        fields.serialize_field("saved_usd", &row.saved().usd())?;
        fields.serialize_field("p50_ms", &row.whole_ms(0.5))?;
        fields.serialize_field("p95_ms", &row.whole_ms(0.95))?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::day::DAY_MS;
    use crate::record::Tokens;

    fn record(day: u64, track: Track, model: &str, whole_ms: f64) -> Record {
        Record {
            at_ms: day * DAY_MS,
            track: Some(track),
            model: model.to_owned(),
            tokens: Tokens { prompt: 10, completion: 2, ..Tokens::default() },
            cost: Money::from_nanos(1_000_000),
            reference_cost: Money::from_nanos(3_000_000),
            status: 200,
            whole_ms,
            ..Record::default()
        }
    }

    fn sample() -> Report {
        let failed =
            Record { status: 502, track: None, model: String::new(), ..record(1, Track::Local, "", 3.0) };
        let hit = Record { cache: Cached::Hit, ..record(1, Track::External, "big", 1.0) };
        let damage = Damage { file: "book-1.log".into(), offset: 9, why: "torn".to_owned() };
        report([
            Ok(record(1, Track::External, "big", 1000.0)),
            Ok(hit),
            Ok(failed),
            Err(damage),
            Ok(record(0, Track::Local, "small", 20.0)),
        ])
    }

    #[test]
    fn the_table_is_aligned_and_tells_damage() {
        let expected = "\
day         track     model  requests  errors  cached  tokens in  tokens out  cost USD  reference USD  saved USD  p50 ms  p95 ms
1970-01-01  local     small         1       0       0         10           2  0.001000       0.003000   0.002000    19.9    19.9
1970-01-02  -         -             1       1       0         10           2  0.001000       0.003000   0.002000     3.0     3.0
1970-01-02  external  big           2       0       1         20           4  0.002000       0.006000   0.004000     1.0  1002.3
total                 -             4       1       1         40           8  0.004000       0.012000   0.008000     3.0  1002.3
not counted, the book is damaged: book-1.log at byte 9: torn
";
        assert_eq!(sample().to_string(), expected);
    }

    #[test]
    fn the_json_has_the_same_sums() {
        let json = serde_json::to_value(sample()).unwrap();
        assert_eq!(json["rows"][2]["model"], "big");
        assert_eq!(json["rows"][2]["cache_hits"], 1);
        assert_eq!(json["rows"][1]["track"], serde_json::Value::Null);
        assert_eq!(json["total"]["saved_usd"], 0.008);
        assert_eq!(json["damage"][0], "book-1.log at byte 9: torn");
    }

    #[test]
    fn quantiles_are_within_one_percent() {
        let mut quantiles = Quantiles::default();
        for n in 1..=10_000_u32 {
            quantiles.add(f64::from(n) * 0.37);
        }
        for share in [0.01, 0.5, 0.95, 0.99, 1.0] {
            let (got, exact) = (quantiles.at(share), share * 3700.0);
            assert!((got / exact - 1.0).abs() <= 0.0101, "{share}: {got} for {exact}");
        }
        for odd in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
            quantiles.add(odd);
        }
        assert_eq!(Quantiles::default().at(0.5), 0.0);
    }
}
