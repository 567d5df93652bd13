//! What outcomes say of one request: for each model the probability of a good answer, and how much stands behind it.

use policy::Learned;
use serde::{Deserialize, Serialize};

/// The opinions on one request, by model. A handful: they are searched in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Opinions(Vec<Opinion>);

/// What is expected of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Opinion {
    /// The model's name in `models.toml`.
    pub(crate) model: String,
    /// Probability that its answer is good.
    pub(crate) quality: f32,
    /// How much the outcomes of like requests stand behind that, 0 to 1.
    pub(crate) evidence: f32,
}

impl Opinions {
    /// Whether nothing is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is known of a model.
    pub(crate) fn of(&self, model: &str) -> Option<Learned> {
        let found = self.0.iter().find(|opinion| opinion.model == model)?;
        Some(Learned { quality: found.quality, evidence: found.evidence })
    }
}

impl FromIterator<Opinion> for Opinions {
    fn from_iter<I: IntoIterator<Item = Opinion>>(opinions: I) -> Self {
        Self(opinions.into_iter().collect())
    }
}
