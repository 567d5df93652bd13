//! What an answer must pass while another target waits: ask the cheap one, check, go on.

use std::collections::HashSet;

use api::{ChatRequest, Checks, Completion, Contract, Error, Fault};
use serde_json::{Map, Value};

/// The longest phrase whose repetition is looked for, in words.
const PHRASE_WORDS_MAX: usize = 24;
/// A phrase that follows itself so often is a loop, if that makes up so many words.
const REPEATS: usize = 4;
const LOOP_WORDS_MIN: usize = 12;

/// Whether the checks need more of an answer than its first chunk, so that a stream has to be held until it is whole. A
/// contract alone holds no stream: the client would wait for every answer, to spare a few.
pub(super) fn holds_streams(checks: &Checks) -> bool {
    checks.whole || checks.repetition || checks.confidence_min.is_some()
}

/// Checks an answer.
///
/// # Errors
/// The first check that it fails, in words.
pub(super) fn check(checks: &Checks, request: &ChatRequest, completion: &Completion) -> Result<(), Error> {
    let broken = |code: &'static str, why: String| Err(Error::new(Fault::UpstreamFailed, code, why));
    if checks.contract
        && let Some(why) = broken_contract(&request.contract, completion)
    {
        return broken("contract_broken", why);
    }
    if checks.whole && was_cut(request, completion) {
        return broken("answer_cut", "The model's own limit cut the answer off.".to_owned());
    }
    if checks.repetition
        && let Some(phrase) = texts(completion).find_map(repeated)
    {
        return broken("answer_loops", format!("The answer repeats itself without end: `{phrase}`."));
    }
    if let (Some(least), Some(sure)) = (checks.confidence_min, confidence(completion))
        && sure < least
    {
        let why = format!("The model was not sure of its words: {sure:.2}, at least {least:.2} is needed.");
        return broken("answer_unsure", why);
    }
    Ok(())
}

fn texts(completion: &Completion) -> impl Iterator<Item = &str> {
    completion.choices.iter().filter_map(|choice| choice.message.content.as_deref())
}

fn broken_contract(contract: &Contract, completion: &Completion) -> Option<String> {
    match contract {
        Contract::Free => None,
        Contract::Labels(labels) => {
            let names_one = |text: &str| {
                let text = text.to_lowercase();
                labels.iter().any(|label| text.contains(&label.to_lowercase()))
            };
            texts(completion)
                .any(|text| !names_one(text))
                .then(|| "The model's answer is none of the labels that were asked for.".to_owned())
        }
        Contract::JsonObject => texts(completion)
            .any(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_err())
            .then(|| "The model's answer is not the JSON that was asked for.".to_owned()),
        Contract::JsonSchema(schema) => texts(completion).find_map(|text| breaks_schema(schema, text)),
    }
}

/// The schema's outermost demands: an object with the required keys. Providers that enforce schemas enforce the rest;
/// for the others this tells an answer from a chat.
fn breaks_schema(schema: &Value, text: &str) -> Option<String> {
    let Ok(answer) = serde_json::from_str::<Value>(text) else {
        return Some("The model's answer is not the JSON that was asked for.".to_owned());
    };
    let required: HashSet<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|keys| keys.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let empty = Map::new();
    let object = answer.as_object().unwrap_or(&empty);
    let missing = required.into_iter().find(|key| !object.contains_key(*key))?;
    Some(format!("The model's answer lacks `{missing}`, which its schema requires."))
}

/// Cut off, but not by the limit that the request set itself.
fn was_cut(request: &ChatRequest, completion: &Completion) -> bool {
    let cut = completion.choices.iter().any(|choice| choice.finish_reason.as_deref() == Some("length"));
    let told = completion.usage.as_ref().map_or(0, |usage| usage.completion_tokens);
    let by_request = request.sampling.max_tokens.is_some_and(|max| told >= max);
    cut && !by_request
}

/// The phrase that a text ends in over and over.
fn repeated(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    (1..=PHRASE_WORDS_MAX.min(words.len() / REPEATS)).find_map(|length| {
        let again = words.iter().rev().zip(words.iter().rev().skip(length)).take_while(|(a, b)| a == b);
        let looping = again.count() + length;
        let is_loop = looping >= length * REPEATS && looping >= LOOP_WORDS_MIN;
        is_loop.then(|| words[words.len() - length..].join(" "))
    })
}

/// The geometric mean of the probabilities of the answer's tokens, where the target told them.
fn confidence(completion: &Completion) -> Option<f32> {
    let mut sum = 0.0;
    let mut count = 0_u32;
    for choice in &completion.choices {
        let tokens =
            choice.extra.get("logprobs").and_then(|told| told.get("content")).and_then(Value::as_array);
        for token in tokens.into_iter().flatten() {
            sum += token.get("logprob").and_then(Value::as_f64)?;
            count += 1;
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "a probability")]
    (count > 0).then(|| (sum / f64::from(count)).exp() as f32)
}

/// The same request with log-probabilities asked for, where the checks read them and the client did not ask.
pub(super) fn with_logprobs(checks: &Checks, request: &ChatRequest) -> Option<ChatRequest> {
    if checks.confidence_min.is_none() || request.sampling.logprobs {
        return None;
    }
    let mut body = request.body.clone();
    body.insert("logprobs".to_owned(), Value::Bool(true));
    ChatRequest::from_body(body).ok()
}

/// Takes out what only the checks have asked for.
pub(super) fn without_logprobs(completion: &mut Completion) {
    for choice in &mut completion.choices {
        choice.extra.remove("logprobs");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(more: Value) -> ChatRequest {
        let mut body = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        let Value::Object(body) = body else { unreachable!("an object") };
        ChatRequest::from_body(body).expect("a request")
    }

    fn answer(text: &str, more: Value) -> Completion {
        let mut choice =
            json!({"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
        if let (Value::Object(choice), Value::Object(more)) = (&mut choice, more) {
            choice.extend(more);
        }
        let usage = json!({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12});
        serde_json::from_value(json!({"choices": [choice], "usage": usage})).expect("an answer")
    }

    const ALL: Checks = Checks { contract: true, whole: true, repetition: true, confidence_min: Some(0.5) };

    fn judge(request: &ChatRequest, answer: &Completion, expected: Option<&str>) {
        let code = check(&ALL, request, answer).err().map(|error| error.code);
        assert_eq!(code, expected, "{answer:?}");
        let none = Checks { contract: false, whole: false, repetition: false, confidence_min: None };
        assert!(check(&none, request, answer).is_ok());
    }

    #[test]
    fn contracts_are_kept_or_told() {
        let schema = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema":
            {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}}}});
        let object = json!({"response_format": {"type": "json_object"}});
        for (more, text, expected) in [
            (json!({}), "anything", None),
            (object.clone(), "{\"a\": 1}", None),
            (object, "Sure! {\"a\": 1}", Some("contract_broken")),
            (schema.clone(), "{\"city\": \"Oslo\"}", None),
            (schema.clone(), "{\"town\": \"Oslo\"}", Some("contract_broken")),
            (schema, "[]", Some("contract_broken")),
        ] {
            judge(&request(more), &answer(text, json!({})), expected);
        }
    }

    #[test]
    fn cut_looping_and_unsure_answers_are_told() {
        let cut = json!({"finish_reason": "length"});
        judge(&request(json!({})), &answer("half a", cut.clone()), Some("answer_cut"));
        judge(&request(json!({"max_tokens": 7})), &answer("half a", cut), None);
        let looping = "It is what it is. ".to_owned() + &"and so on ".repeat(6);
        judge(&request(json!({})), &answer(&looping, json!({})), Some("answer_loops"));
        judge(&request(json!({})), &answer("very very very good", json!({})), None);
        let sure = |logprob: f64| json!({"logprobs": {"content": [{"logprob": logprob}, {"logprob": -0.1}]}});
        judge(&request(json!({})), &answer("x", sure(-0.1)), None);
        judge(&request(json!({})), &answer("x", sure(-3.0)), Some("answer_unsure"));
    }
}
