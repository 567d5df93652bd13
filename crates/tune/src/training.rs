//! The training itself: settings in, an adapter and what is known of it out.

use serde::Serialize;

use crate::adapter::{Adapter, Passport};
use crate::base::Base;
use crate::batches::{Text, parts, steps};
use crate::cost::cpu_seconds;
use crate::descent::{Descent, Gradients};
use crate::dice::Dice;
use crate::error::Error;
use crate::examples::{Example, Examples};
use crate::layout::Layout;
use crate::reading::{PART_TOKENS_MAX, Reading, Score};

/// Held-out examples beyond this many are trained on: more would cost time and tell little.
const HELD_OUT_MAX: usize = 256;
/// Memory for the states below the adapter, in MiB.
const REMEMBERED_MIB_MAX: usize = 1024;

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Rank of the corrections, 1 to 64.
    pub rank: usize,
    /// Layers that are adapted, from the top.
    pub layers: usize,
    /// Times that the examples are gone through.
    pub epochs: usize,
    /// The highest rate of a step.
    pub learning_rate: f64,
    /// Examples of one step.
    pub batch: usize,
    /// Of the order, the beginning and the held-out part.
    pub seed: u64,
    /// Processor minutes after which the training ends, if before its epochs. Where this binds, the result depends on the
    /// machine's speed; otherwise on the settings and the examples alone.
    pub minutes: Option<f64>,
    /// The text around an input.
    pub layout: Layout,
    /// The share of examples that is kept aside to measure on, 0 to 0.5.
    pub hold_out: f64,
    /// Longer examples are left out.
    pub tokens_max: usize,
}

impl Settings {
    fn check(&self, base: &Base) -> Result<(), Error> {
        let layers = base.layers.len();
        let wrong = if !(1..=64).contains(&self.rank) {
            "`rank` must be from 1 to 64".to_owned()
        } else if !(1..=layers).contains(&self.layers) {
            format!("`layers` must be from 1 to {layers}, the base's own")
        } else if self.epochs == 0 || self.batch == 0 {
            "`epochs` and `batch` must be at least 1".to_owned()
        } else if !(self.learning_rate > 0.0 && self.learning_rate <= 0.1) {
            "`lr` must be over 0 and at most 0.1".to_owned()
        } else if !(0.0..=0.5).contains(&self.hold_out) {
            "`hold-out` must be from 0 to 0.5".to_owned()
        } else if self.minutes.is_some_and(|minutes| minutes.is_nan() || minutes <= 0.0) {
            "`minutes` must be over 0".to_owned()
        } else if !(8..=base.sizes.context).contains(&self.tokens_max) {
            format!("`tokens-max` must be from 8 to {}, the base's context", base.sizes.context)
        } else {
            return Ok(());
        };
        Err(Error::Input(wrong))
    }
}

/// How an adapter does on examples that it was not trained on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeldOut {
    /// Examples.
    pub examples: usize,
    /// The share that is answered letter for letter, without choosing from a set.
    pub exact: f64,
    /// The mean negative logarithm of a right answer's probability.
    pub surprise: f64,
    /// [`HeldOut::exact`] of the base without the adapter, in the same layout.
    pub exact_before: f64,
}

/// What a training did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Examples trained on.
    pub examples: usize,
    /// Examples that were too long.
    pub left_out: usize,
    /// Steps made.
    pub steps: usize,
    /// Tokens read while training, filling-up left aside.
    pub tokens: usize,
    /// The processor minutes ran out before the epochs did.
    pub cut_short: bool,
    /// On the examples kept aside; `None` where none were.
    pub held_out: Option<HeldOut>,
}

/// How far a training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps made.
    pub step: usize,
    /// All steps.
    pub steps: usize,
    /// The last step's mean surprise per answer token.
    pub surprise: f64,
    /// Tokens read so far.
    pub tokens: usize,
}

/// Trains an adapter. `told` hears of every step.
///
/// # Errors
/// Settings outside their limits, no example that fits, a diverging training.
pub fn train(
    base: &Base,
    examples: &Examples,
    settings: &Settings,
    told: &mut (dyn FnMut(&Progress) + Send),
) -> Result<(Adapter, Passport, Report), Error> {
    settings.check(base)?;
    let mut dice = Dice::new(settings.seed);
    let (texts, left_out) = read_texts(base, &examples.rows, settings)?;
    let (aside, texts) = apart(texts, settings.hold_out, &mut dice);
    let adapter = Adapter::new(base, settings.rank, settings.layers, &mut dice)?;
    let mut course = Course::new(base, &adapter, &texts, &aside, settings)?;
    course.go(&mut dice, told)?;
    let held_out = course.finish()?;
    let report = Report {
        examples: texts.len(),
        left_out,
        steps: course.step,
        tokens: course.tokens,
        cut_short: course.step < course.steps,
        held_out,
    };
    let passport = Passport {
        base: base.fingerprint.clone(),
        prompt: settings.layout.text(),
        data: examples.hash.clone(),
        examples: u32::try_from(texts.len()).unwrap_or(u32::MAX),
        held_out: serde_json::to_string(&report.held_out)
            .map_err(|error| Error::Failed(error.to_string()))?,
        seed: settings.seed,
    };
    Ok((adapter, passport, report))
}

/// The examples that fit, and how many do not.
fn read_texts(base: &Base, rows: &[Example], settings: &Settings) -> Result<(Vec<Text>, usize), Error> {
    let mut texts = Vec::with_capacity(rows.len());
    for row in rows {
        texts.extend(Text::read(base, &settings.layout, row, settings.tokens_max)?);
    }
    let left_out = rows.len() - texts.len();
    if texts.is_empty() {
        let said = format!("there is no example of at most {} tokens to train on", settings.tokens_max);
        return Err(Error::Input(said));
    }
    Ok((texts, left_out))
}

/// Keeps a share of the texts aside; at least one is left to train on.
fn apart(mut texts: Vec<Text>, share: f64, dice: &mut Dice) -> (Vec<Text>, Vec<Text>) {
    dice.shuffle(&mut texts);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
    let count = (texts.len() as f64 * share) as usize;
    let trained = texts.split_off(count.min(HELD_OUT_MAX).min(texts.len() - 1));
    (texts, trained)
}

/// A training under way.
struct Course<'a> {
    adapter: &'a Adapter,
    texts: &'a [Text],
    settings: &'a Settings,
    reading: Reading<'a>,
    aside: Reading<'a>,
    before: Score,
    /// The best adapter so far and how it does, where examples were kept aside.
    best: Option<(Score, Vec<candle_core::Tensor>)>,
    descent: Descent,
    step: usize,
    steps: usize,
    tokens: usize,
    began_s: f64,
    /// What measuring on the examples kept aside costs once.
    measuring_s: f64,
}

impl<'a> Course<'a> {
    fn new(
        base: &'a Base,
        adapter: &'a Adapter,
        texts: &'a [Text],
        aside: &'a [Text],
        settings: &'a Settings,
    ) -> Result<Self, Error> {
        // What is read once need not be remembered.
        let mib_max = if settings.epochs > 1 { REMEMBERED_MIB_MAX } else { 0 };
        let reading = Reading::new(base, adapter.first, texts, mib_max);
        let mut aside = Reading::new(base, adapter.first, aside, REMEMBERED_MIB_MAX / 4);
        let began_s = cpu_seconds().unwrap_or_default();
        let before = aside.score(adapter)?;
        let now_s = cpu_seconds().unwrap_or_default();
        Ok(Self {
            adapter,
            texts,
            settings,
            reading,
            aside,
            before,
            best: None,
            descent: Descent::new(adapter, settings.learning_rate),
            step: 0,
            steps: texts.len().div_ceil(settings.batch).saturating_mul(settings.epochs),
            tokens: 0,
            began_s,
            measuring_s: now_s - began_s,
        })
    }

    fn go(&mut self, dice: &mut Dice, told: &mut (dyn FnMut(&Progress) + Send)) -> Result<(), Error> {
        for _ in 0..self.settings.epochs {
            for places in steps(self.texts, self.settings.batch, dice) {
                let progress = self.progress();
                if progress >= 1.0 {
                    return self.measure();
                }
                let surprise = self.learn(&places, progress)?;
                told(&Progress { step: self.step, steps: self.steps, surprise, tokens: self.tokens });
            }
            self.measure()?;
        }
        Ok(())
    }

    /// How far the training is, by its steps or by its processor time, whichever is further.
    fn progress(&self) -> f64 {
        let by_steps = self.step as f64 / self.steps as f64;
        let Some(minutes) = self.settings.minutes else { return by_steps };
        let spent_s = cpu_seconds().unwrap_or_default();
        // The last measure has to fit in, too.
        let allowed_s = minutes * 60.0 - self.measuring_s - self.began_s;
        by_steps.max((spent_s - self.began_s) / allowed_s.max(1e-3))
    }

    /// One step. Returns the mean surprise per answer token.
    fn learn(&mut self, places: &[usize], progress: f64) -> Result<f64, Error> {
        let answers = places.iter().map(|&place| &self.texts[place]);
        let answer_tokens: usize = answers.map(|text| text.tokens.len() - text.prompt).sum();
        let mut gradients = Gradients::new(self.adapter);
        let mut surprise = 0.0;
        for part in parts(self.texts, places, PART_TOKENS_MAX) {
            let run = self.reading.run(&part, self.adapter)?;
            let mean = (run.surprise.sum_all()? / answer_tokens as f64)?;
            surprise += f64::from(mean.to_scalar::<f32>()?);
            gradients.add(self.adapter, &mean.backward()?)?;
        }
        self.descent.step(self.adapter, &gradients, progress)?;
        self.step += 1;
        self.tokens += places.iter().map(|&place| self.texts[place].length()).sum::<usize>();
        Ok(surprise)
    }

    /// Measures on the examples kept aside, and remembers the adapter if it is the best so far.
    fn measure(&mut self) -> Result<(), Error> {
        let score = self.aside.score(self.adapter)?;
        let better = self.best.as_ref().is_none_or(|(best, _)| score.surprise < best.surprise);
        if score.texts > 0 && better {
            self.best = Some((score, self.adapter.snapshot()?));
        }
        Ok(())
    }

    /// Returns to the best adapter and tells how it does.
    fn finish(&mut self) -> Result<Option<HeldOut>, Error> {
        let Some((score, numbers)) = self.best.take() else { return Ok(None) };
        self.adapter.restore(&numbers)?;
        let texts = score.texts as f64;
        Ok(Some(HeldOut {
            examples: score.texts,
            exact: score.exact as f64 / texts,
            surprise: score.surprise / texts,
            exact_before: self.before.exact as f64 / texts,
        }))
    }
}
