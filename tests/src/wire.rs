//! What the provider puts on the wire: whole answers and streams, each with one thing wrong on purpose.

use serde_json::{Value, json};

/// What the provider always says. Its characters have one to four bytes, so that cuts fall inside them.
pub const ANSWER: &str = "Zug fährt nach Köln → 🚂 on track 3.";

/// What the model `other` says: not a word of it is in [`ANSWER`].
pub const OTHER: &str = "Bus 7 leaves Bonn at noon!";

/// The tokens that the provider claims to have used: (prompt, of these cached, completion).
pub(crate) const TOKENS: (u64, u64, u64) = (11, 4, 7);

/// The usage of (prompt, of these cached, completion) tokens.
fn usage((prompt, cached, completion): (u64, u64, u64)) -> Value {
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    })
}

/// A whole answer.
pub(crate) fn completion(model: &str, with_usage: bool) -> Value {
    saying(model, ANSWER, with_usage.then_some(TOKENS))
}

/// A whole answer of this text and usage.
pub(crate) fn saying(model: &str, answer: &str, tokens: Option<(u64, u64, u64)>) -> Value {
    let mut body = json!({
        "id": "chatcmpl-upstream",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": model,
        "system_fingerprint": "fp_test",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": answer, "refusal": null},
            "logprobs": null,
            "finish_reason": "stop",
        }],
    });
    if let Some(tokens) = tokens {
        body["usage"] = usage(tokens);
    }
    body
}

/// How a stream is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Form {
    pub(crate) crlf: bool,
    pub(crate) no_space: bool,
    pub(crate) no_done: bool,
    pub(crate) no_usage: bool,
    pub(crate) usage_on_choice: bool,
    pub(crate) comments: bool,
    /// Each event's JSON goes over several `data:` lines.
    pub(crate) multi_line: bool,
    /// A byte order mark comes first.
    pub(crate) bom: bool,
}

/// The events of a streamed answer.
pub(crate) fn events(model: &str, form: Form) -> Vec<String> {
    events_saying(model, ANSWER, TOKENS, form)
}

/// The events of a streamed answer of this text and usage.
pub(crate) fn events_saying(model: &str, answer: &str, tokens: (u64, u64, u64), form: Form) -> Vec<String> {
    let chunk = |choices: Value| {
        json!({
            "id": "chatcmpl-upstream",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": model,
            "choices": choices,
        })
    };
    let delta = |delta: Value, finish_reason: Value| {
        chunk(json!([{"index": 0, "delta": delta, "finish_reason": finish_reason}]))
    };
    let mut chunks = vec![delta(json!({"role": "assistant", "content": ""}), Value::Null)];
    let words: Vec<&str> = answer.split_inclusive(' ').collect();
    chunks.extend(words.iter().map(|word| delta(json!({"content": word}), Value::Null)));
    let mut last = delta(json!({}), json!("stop"));
    if form.usage_on_choice {
        last["usage"] = usage(tokens);
    }
    chunks.push(last);
    if !form.usage_on_choice && !form.no_usage {
        let mut only_usage = chunk(json!([]));
        only_usage["usage"] = usage(tokens);
        chunks.push(only_usage);
    }
    let end = if form.crlf { "\r\n" } else { "\n" };
    let space = if form.no_space { "" } else { " " };
    let mut events: Vec<String> = Vec::new();
    for chunk in &chunks {
        let comment = if form.comments { format!(": keep-alive{end}{end}") } else { String::new() };
        let data = if form.multi_line { format!("{chunk:#}") } else { chunk.to_string() };
        let data: String = data.lines().map(|line| format!("data:{space}{line}{end}")).collect();
        events.push(format!("{comment}{data}{end}"));
    }
    if form.bom {
        events[0].insert(0, '\u{feff}');
    }
    if !form.no_done {
        events.push(format!("data:{space}[DONE]{end}{end}"));
    }
    events
}

/// `bytes` in pieces of arbitrary sizes that follow from `seed`; seed 0 cuts after every byte.
pub(crate) fn pieces(bytes: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut state = seed;
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        // Knuth's MMIX generator: any spread will do, as long as it is the same every time.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let size = if seed == 0 { 1 } else { 1 + usize::try_from((state >> 33) % 40).unwrap_or(0) };
        let (piece, after) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}
