//! From evidence to a probability: what is measured about a sentence beside its passages, and how much each measure counts.

use crate::evidence::Evidence;

/// How many numbers describe the evidence of words.
pub(crate) const MEASURES: usize = 17;

/// The evidence as numbers, each 0 to about 1 but for the logarithm of the length.
pub(crate) fn measures(evidence: &Evidence) -> [f32; MEASURES] {
    let yes = |fact: bool| if fact { 1.0 } else { 0.0 };
    let some = |count: usize| count as f32 / (count as f32 + 1.0);
    [
        evidence.words,
        evidence.words_together,
        evidence.words_near,
        evidence.pairs,
        yes(evidence.words >= 1.0),
        yes(evidence.words_together >= 1.0),
        yes(evidence.words_near >= 1.0),
        some(evidence.strange_numbers.len()),
        some(evidence.strange_names.len()),
        evidence.displaced,
        yes(evidence.turned),
        (1.0 + evidence.length as f32).ln(),
        yes(evidence.length <= 3),
        yes(evidence.turned) * evidence.words_together,
        evidence.fact_pairs,
        (1.0 - evidence.fact_pairs) * evidence.pairs,
        evidence.displaced * evidence.words_together,
    ]
}

/// The probability by words alone.
///
/// A logistic regression over 9,731 sentences beside a passage, supported and unsupported weighing the same: questions
/// of SQuAD 1.1 (a fifth) and NaturalQuestions (half) made statements with their known answers, those answers alone, and
/// sentences of the passages, whole and shortened; against statements with another answer, sentences with another number or
/// name, denied ones, and all of them beside another passage. By cross-validation over documents: AUROC 0.905, calibration
/// error 0.030. Of what is wrong 0.2 % pass that are of another passage, 3 % with another number, 15 % with an answer from
/// elsewhere, 36 % of the denied, 49 % with another name and 59 % with another answer of the same passage, both put where they
/// may well stand; of what is right 97 % of quotations pass and 73 % of the statements.
pub(super) fn by_words(evidence: &Evidence) -> f32 {
    let measures = measures(evidence);
    logistic(BIAS + WEIGHTS.iter().zip(measures).map(|(weight, value)| weight * value).sum::<f32>())
}

/// The probability of what the words left open: theirs, and the cosine of the sentence and the best sentences. On
/// those the AUROC rises from 0.652 to 0.662 only: what words cannot tell apart is nearly the same to the encoder.
pub(super) fn by_meaning(words: f32, cosine: f32) -> f32 {
    logistic(COSINE_BIAS + WORDS_WEIGHT * (words / (1.0 - words)).ln() + COSINE_WEIGHT * cosine)
}

fn logistic(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

const BIAS: f32 = -1.581;
const WEIGHTS: [f32; MEASURES] = [
    2.418, 2.713, 1.419, -0.035, -2.331, 1.078, 1.228, -5.832, -3.014, -0.450, 1.295, -0.807, -0.014, -3.373,
    -0.793, -2.773, -1.111,
];
const COSINE_BIAS: f32 = -0.953;
const WORDS_WEIGHT: f32 = 0.674;
const COSINE_WEIGHT: f32 = 1.464;
