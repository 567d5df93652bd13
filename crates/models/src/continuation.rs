//! Going on with an answer that was cut.
//!
//! Owns how a request asks a model to continue a given beginning, which dialects and servers do in different ways.

use api::{ChatRequest, Error};
use serde_json::{Value, json};

/// How a model is told that the last message is the beginning of its own answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuation {
    /// By its place alone: an assistant's message at the end (Anthropic).
    Prefill,
    /// By `prefix: true` on that message (Mistral, DeepSeek).
    Prefix,
    /// By `continue_final_message` beside the messages (vLLM).
    FinalMessage,
}

/// `request`, asking for what follows `said`.
///
/// # Errors
/// There is nothing to continue, or more than one answer was asked for.
pub fn continuing(request: &ChatRequest, said: &str, how: Continuation) -> Result<ChatRequest, Error> {
    if said.is_empty() {
        return Err(Error::field("messages", "There is no beginning to continue; ask anew."));
    }
    if request.sampling.n > 1 {
        return Err(Error::field("n", "Only one answer can be continued; ask for `n` of 1."));
    }
    let mut body = request.body.clone();
    let mut message = json!({ "role": "assistant", "content": said });
    match how {
        Continuation::Prefill => {}
        Continuation::Prefix => message["prefix"] = Value::Bool(true),
        Continuation::FinalMessage => {
            body.insert("continue_final_message".to_owned(), Value::Bool(true));
            body.insert("add_generation_prompt".to_owned(), Value::Bool(false));
        }
    }
    match body.get_mut("messages") {
        Some(Value::Array(messages)) => messages.push(message),
        _ => return Err(Error::field("messages", "`messages` must be a list.")),
    }
    ChatRequest::from_body(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(extra: &str, said: &str, how: Continuation, expected: Result<&str, &str>) {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"q"}}]{extra}}}"#);
        let body = api::parse_object(body.as_bytes()).expect("an object");
        let request = ChatRequest::from_body(body).expect("a request");
        match (continuing(&request, said, how), expected) {
            (Ok(request), Ok(rest)) => {
                let written = serde_json::to_string(&request.body).expect("JSON");
                let user = r#"{"model":"m","messages":[{"role":"user","content":"q"},"#;
                assert_eq!(written, format!("{user}{rest}"));
            }
            (Err(error), Err(param)) => assert_eq!(error.param.as_deref(), Some(param)),
            (got, _) => panic!("{how:?}: {got:?}"),
        }
    }

    #[test]
    fn a_beginning_is_marked_in_each_way() {
        use Continuation::{FinalMessage, Prefill, Prefix};
        check("", "So", Prefill, Ok(r#"{"role":"assistant","content":"So"}]}"#));
        check("", "So", Prefix, Ok(r#"{"role":"assistant","content":"So","prefix":true}]}"#));
        let flags = r#"{"role":"assistant","content":"So"}],"continue_final_message":true,"add_generation_prompt":false}"#;
        check("", "So", FinalMessage, Ok(flags));
        check("", "", Prefill, Err("messages"));
        check(r#","n":2"#, "So", Prefill, Err("n"));
    }
}
