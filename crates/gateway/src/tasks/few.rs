//! The nearest labelled examples, added to the prompt of a large model.
//!
//! Balanced across labels and shuffled: answers otherwise lean towards the label that is most frequent in the prompt, and to
//! the one that comes last (Zhao et al. 2021, "Calibrate Before Use"). Refuses requests whose input is in the system prompt:
//! there is no turn that an example could take.

use std::collections::{BTreeMap, HashSet};

use api::{ChatRequest, Content, Message, Role};
use classify::estimate_tokens;
use learn::task::Truth;
use policy::tasks::TaskSpec;
use serde_json::{Value, json};

use super::labels::{Kept, LabelId};
use super::said::in_contract;

/// The nearest so many are looked at for every example that is wanted.
const POOL: usize = 12;

/// An example as it goes into a prompt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shot {
    pub(crate) input: String,
    pub(crate) truth: Truth,
}

/// The examples for an input: of the nearest usable ones of the tenant's own or the operator's, one of each label in turn,
/// within the number and the tokens that the task allows. Their order depends on the input alone.
pub(crate) fn choose<'a>(
    labels: impl Iterator<Item = &'a Kept>,
    tenant: &str,
    own: LabelId,
    vector: &[f32],
    spec: &TaskSpec,
) -> Vec<Shot> {
    let mut near: Vec<(f32, &Kept)> = labels
        .filter(|kept| kept.label.tenant.is_empty() || kept.label.tenant == tenant)
        .filter(|kept| kept.label.id() != own)
        .filter_map(|kept| Some((kept.vector.as_ref()?.nearness(vector), kept)))
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.label.input.cmp(&b.1.label.input)));
    near.truncate(spec.few.examples * POOL);
    let mut shots = balanced(&near, spec.few.examples, spec.few.tokens_max);
    shuffle(&mut shots, own);
    shots
}

/// One of each label in turn, labels by their nearest example.
fn balanced(near: &[(f32, &Kept)], examples: usize, tokens_max: u64) -> Vec<Shot> {
    let mut queues: Vec<(String, Vec<&Kept>)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (_, kept) in near {
        let label = serde_json::to_string(&kept.label.truth).unwrap_or_default();
        let place = *places.entry(label.clone()).or_insert_with(|| {
            queues.push((label, Vec::new()));
            queues.len() - 1
        });
        queues[place].1.push(kept);
    }
    let mut shots = Vec::new();
    let mut seen: HashSet<&str> = HashSet::new();
    let mut tokens = 0;
    let rounds = queues.iter().map(|(_, queue)| queue.len()).max().unwrap_or(0);
    for round in 0..rounds {
        for (_, queue) in &queues {
            let Some(kept) = queue.get(round) else { continue };
            let cost = estimate_tokens(&kept.label.input) + 16;
            if shots.len() == examples || tokens + cost > tokens_max || !seen.insert(&kept.label.input) {
                continue;
            }
            tokens += cost;
            shots.push(Shot { input: kept.label.input.clone(), truth: kept.label.truth.clone() });
        }
    }
    shots
}

/// Fisher-Yates by the bytes of a hash: the same input always sees the same order.
fn shuffle(shots: &mut [Shot], seed: LabelId) {
    let mut stream = blake3::Hasher::new().update(&seed).finalize_xof();
    for place in (1..shots.len()).rev() {
        let mut bytes = [0; 8];
        stream.fill(&mut bytes);
        let other = u64::from_le_bytes(bytes) % (place as u64 + 1);
        shots.swap(place, usize::try_from(other).unwrap_or(0));
    }
}

/// The request with the examples before its last turn; `None` where the task's input is no turn.
pub(crate) fn with_examples(request: &ChatRequest, spec: &TaskSpec, shots: &[Shot]) -> Option<ChatRequest> {
    let place = request.messages.iter().rposition(|message| message.role == Role::User)?;
    let last = request.messages.get(place)?.content.text();
    let mut told = request.clone();
    let turns = told.body.get_mut("messages").and_then(Value::as_array_mut)?;
    for (number, shot) in shots.iter().enumerate() {
        let asked = match &spec.recognize.user {
            Some(template) => template.fill(&last, &shot.input)?,
            None if spec.recognize.system.as_ref().is_some_and(api::Template::has_input) => return None,
            None => shot.input.clone(),
        };
        let answered = in_contract(&shot.truth, request);
        let at = place + 2 * number;
        turns.insert(at, json!({ "role": "user", "content": asked }));
        turns.insert(at + 1, json!({ "role": "assistant", "content": answered }));
        told.messages.insert(at, Message { role: Role::User, content: Content::Text(asked) });
        told.messages.insert(at + 1, Message { role: Role::Assistant, content: Content::Text(answered) });
    }
    Some(told)
}
