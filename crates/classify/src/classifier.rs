//! From a request to its signals: the trained heads over one feature vector, and the rules beside them.
//!
//! Owns which signal comes from where. Refuses training (that is `learn`'s) and choosing (that is `policy`'s).

use api::{Error, Head, Kind, Signal, SignalSet, Signals};

use crate::exemplars::TRAINED;
use crate::features::{FEATURES, inputs};
use crate::view::View;
use crate::{contract, injection, language, noise, private, tokens};

/// The label of a yes-or-no head that means yes.
pub const YES: &str = "yes";
/// The label of a yes-or-no head that means no.
pub const NO: &str = "no";

/// A yes-or-no signal and its head.
struct Trained {
    signal: Signal,
    head: Head,
    /// The place of [`YES`] among the head's labels.
    yes: usize,
}

/// The heads that tell signals from features; shared by all requests. Each reads either the cheap features alone or the
/// encoder's numbers behind them: training decides, signal by signal, whether the encoder earns its time.
pub struct Classifier {
    kind: Head,
    /// The kind of each of the head's labels.
    kinds: Vec<Kind>,
    trained: Vec<Trained>,
    /// What the heads with the encoder's numbers read; [`FEATURES`] where there is none.
    width: usize,
}

impl Classifier {
    /// A classifier of heads that were trained on [`inputs`]: `kind` with the names of kinds as labels, the others with
    /// [`YES`] and [`NO`]. `uses_encoder` allows heads that were trained with the encoder's numbers behind the features.
    ///
    /// # Errors
    /// A head has a label, a shape or a signal that this build does not know: it was trained by another one.
    pub fn new(kind: Head, signals: Vec<(Signal, Head)>, uses_encoder: bool) -> Result<Self, Error> {
        let widths = signals.iter().map(|(_, head)| width_of(head)).chain([width_of(&kind)]);
        let width = widths.max().unwrap_or(FEATURES);
        if width < FEATURES || (!uses_encoder && width != FEATURES) {
            return Err(stale(format_args!("a head reads {width} features, there are {FEATURES}")));
        }
        check_shape("kind", &kind, width)?;
        let kinds: Result<Vec<Kind>, ()> = kind.labels.iter().map(|label| label.parse()).collect();
        let Ok(kinds) = kinds else {
            return Err(stale(format_args!("a label of the kind head is no kind: {:?}", kind.labels)));
        };
        let mut trained = Vec::with_capacity(signals.len());
        for (signal, head) in signals {
            check_shape(signal.name(), &head, width)?;
            let yes = head.labels.iter().position(|label| label == YES);
            match yes {
                Some(yes) if TRAINED.contains(&signal) => trained.push(Trained { signal, head, yes }),
                _ => return Err(stale(format_args!("the head of {signal} is not a yes-or-no head"))),
            }
        }
        Ok(Self { kind, kinds, trained, width })
    }

    /// Whether `wanted` has a signal whose head reads [`Reading::form`](crate::Reading::form).
    pub fn needs_vector(&self, wanted: SignalSet) -> bool {
        let reads = |head: &Head| width_of(head) > FEATURES;
        wants_kind(wanted) && reads(&self.kind)
            || self.trained.iter().any(|trained| wanted.has(trained.signal) && reads(&trained.head))
    }

    /// The signals of a request; those that are not `wanted` stay at their defaults, but for the facts that cost
    /// nothing (modality, tools, the output contract). `vector` is [`Reading::form`](crate::Reading::form); without
    /// it the heads that want it judge by the cheap features alone, and worse.
    pub fn signals(&self, view: &View, wanted: SignalSet, vector: Option<&[f32]>) -> Signals {
        let mut signals = Signals {
            modality: view.modality,
            tools: view.tools,
            contract: if wants_kind(wanted) { contract::contract(view) } else { view.contract.clone() },
            ..Signals::default()
        };
        if wants_kind(wanted) || self.trained.iter().any(|trained| wanted.has(trained.signal)) {
            self.judge(view, wanted, vector, &mut signals);
        }
        if wanted.has(Signal::PrivateData) {
            let found = private::private_data(view);
            signals.private_data = found.probability;
            signals.private_kinds = found.kinds();
        }
        if wanted.has(Signal::Injection) {
            signals.injection = injection::injection(view);
        }
        if wanted.has(Signal::Language) {
            language::language(view).clone_into(&mut signals.language);
        }
        if wanted.has(Signal::Noise) {
            signals.noise = noise::noise(&view.user);
        }
        if wanted.has(Signal::TokensIn) {
            signals.tokens_in = tokens::tokens_in(view);
        }
        if wanted.has(Signal::TokensOut) {
            signals.tokens_out = tokens::tokens_out(view, signals.kind, &signals.contract);
        }
        signals
    }

    fn judge(&self, view: &View, wanted: SignalSet, vector: Option<&[f32]>, signals: &mut Signals) {
        let vector = vector.filter(|vector| FEATURES + vector.len() == self.width);
        let mut inputs = inputs(view, vector);
        // Where the vector is missing its part is silent.
        inputs.resize(self.width, 0.0);
        let read = |head: &Head| head.predict(inputs.get(..width_of(head)).unwrap_or(&inputs));
        if wants_kind(wanted) {
            let prediction = read(&self.kind);
            signals.kind = self.kinds.get(prediction.best).copied().unwrap_or(Kind::Chat);
            signals.kind_confidence = prediction.confidence();
        }
        for trained in self.trained.iter().filter(|trained| wanted.has(trained.signal)) {
            let prediction = read(&trained.head);
            let probability = prediction.probabilities.get(trained.yes).copied().unwrap_or(0.0);
            if let Some(place) = place_of(signals, trained.signal) {
                *place = probability;
            }
        }
    }
}

fn wants_kind(wanted: SignalSet) -> bool {
    [Signal::Kind, Signal::KindConfidence, Signal::TokensOut].iter().any(|signal| wanted.has(*signal))
}

/// The field of a trained signal.
fn place_of(signals: &mut Signals, signal: Signal) -> Option<&mut f32> {
    Some(match signal {
        Signal::Mimicry => &mut signals.mimicry,
        Signal::Reasoning => &mut signals.reasoning,
        Signal::SeveralTasks => &mut signals.several_tasks,
        Signal::Regression => &mut signals.regression,
        Signal::Creative => &mut signals.creative,
        Signal::Knowledge => &mut signals.knowledge,
        Signal::ContextGiven => &mut signals.context_given,
        Signal::ContextSufficient => &mut signals.context_sufficient,
        Signal::Conflict => &mut signals.conflict,
        Signal::TimeSensitive => &mut signals.time_sensitive,
        _ => return None,
    })
}

fn width_of(head: &Head) -> usize {
    head.weights.first().map_or(0, Vec::len)
}

/// Every row reads the cheap features, or all that there is.
fn check_shape(name: &str, head: &Head, width: usize) -> Result<(), Error> {
    let rows = head.labels.len();
    let square = head.weights.len() == rows && head.bias.len() == rows && rows >= 2;
    let own = width_of(head);
    if square && (own == FEATURES || own == width) && head.weights.iter().all(|row| row.len() == own) {
        return Ok(());
    }
    Err(stale(format_args!("the head of {name} has rows of other lengths than {FEATURES} or {width}")))
}

fn stale(detail: std::fmt::Arguments<'_>) -> Error {
    Error::internal(format_args!("the classifier's heads do not fit this build, train them anew: {detail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head that says its first label, but its second where feature `place` is on.
    fn head(labels: [&str; 2], place: usize, width: usize) -> Head {
        let mut weights = vec![vec![0.0; width]; 2];
        weights[1][place] = 50.0;
        Head { labels: labels.map(str::to_owned).to_vec(), weights, bias: vec![5.0, 0.0], temperature: 1.0 }
    }

    #[test]
    fn signals_come_from_their_heads_and_only_those_wanted() {
        // The vector's first number decides.
        let width = FEATURES + 2;
        let kind = head(["chat", "code"], FEATURES, width);
        let signals = vec![
            (Signal::Reasoning, head([NO, YES], FEATURES + 1, width)),
            (Signal::Creative, head([YES, NO], FEATURES + 1, width)),
        ];
        let classifier = Classifier::new(kind, signals, true).unwrap();
        let view = View::of(None, "hi");
        let all = classifier.signals(&view, SignalSet::ALL, Some(&[1.0, 1.0]));
        assert_eq!(all.kind, Kind::Code);
        assert!(all.reasoning > 0.9 && all.creative < 0.1 && all.kind_confidence > 0.9);
        let some = classifier.signals(&view, SignalSet::NONE.with(Signal::Reasoning), Some(&[1.0, 1.0]));
        assert!(some.reasoning > 0.9 && some.kind == Kind::Chat && some.tokens_in == 0);
        let without = classifier.signals(&view, SignalSet::ALL, None);
        assert_eq!(without.kind, Kind::Chat);
        assert!(classifier.needs_vector(SignalSet::NONE.with(Signal::Reasoning)));
        assert!(!classifier.needs_vector(SignalSet::NONE.with(Signal::Mimicry).with(Signal::Noise)));
    }

    #[test]
    fn a_head_of_cheap_features_needs_no_vector() {
        let kind = head(["chat", "code"], FEATURES, FEATURES + 1);
        let signals = vec![(Signal::Creative, head([NO, YES], 0, FEATURES))];
        let classifier = Classifier::new(kind, signals, true).unwrap();
        assert!(!classifier.needs_vector(SignalSet::NONE.with(Signal::Creative)));
        assert!(classifier.needs_vector(SignalSet::NONE.with(Signal::Creative).with(Signal::TokensOut)));
        let signals = classifier.signals(&View::of(None, "hi"), SignalSet::ALL, Some(&[1.0]));
        assert!(signals.kind == Kind::Code && signals.creative < 0.1);
    }

    #[test]
    fn heads_of_another_build_are_refused() {
        let refuse = |kind: Head, signals: Vec<(Signal, Head)>| {
            let error = Classifier::new(kind, signals, false).err().expect("a refusal");
            assert!(error.detail.unwrap().contains("train them anew"));
        };
        refuse(head(["chat", "code"], 0, FEATURES + 1), vec![]);
        refuse(head(["chat", "cooking"], 0, FEATURES), vec![]);
        let kind = || head(["chat", "code"], 0, FEATURES);
        refuse(kind(), vec![(Signal::Reasoning, head(["a", "b"], 0, FEATURES))]);
        refuse(kind(), vec![(Signal::Noise, head([NO, YES], 0, FEATURES))]);
        refuse(kind(), vec![(Signal::Reasoning, head([NO, YES], 0, 7))]);
    }
}
