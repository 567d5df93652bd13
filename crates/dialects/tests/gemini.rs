//! What Gemini is not sent, and what of Gemini is no answer.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

use std::collections::VecDeque;

use api::sse::Event;
use api::{ChatRequest, parse_object};
use dialects::{Progress, Trouble, Wire};
use serde_json::{Value, json};

/// The body with `fields` for `model`, or the code and the field of its refusal.
fn sent(model: &str, fields: &str) -> Result<Value, (String, String)> {
    let messages =
        if fields.contains("\"messages\"") { "" } else { r#""messages":[{"role":"user","content":"x"}],"# };
    let body = format!(r#"{{"model":"m",{messages}{fields}}}"#);
    let request = parse_object(body.as_bytes()).and_then(ChatRequest::from_body).expect("a chat request");
    match Wire::Gemini.body(&request, model) {
        Ok(body) => Ok(serde_json::from_slice(&body).expect("JSON")),
        Err(error) => Err((error.code.to_owned(), error.param.unwrap_or_default())),
    }
}

fn check_refused(fields: &str, code: &str, param: &str) {
    assert_eq!(sent("gemini-2.5-pro", fields), Err((code.to_owned(), param.to_owned())), "{fields}");
}

#[test]
fn what_gemini_has_no_words_for_is_named() {
    const NO_WORDS: &str = "unsupported_by_target";
    for (fields, param) in [
        (r#""logit_bias":{"5":1}"#, "logit_bias"),
        (r#""functions":[{"name":"f"}]"#, "functions"),
        (r#""store":true"#, "store"),
        (r#""verbosity":"low""#, "verbosity"),
        (r#""service_tier":"scale""#, "service_tier"),
        (r#""modalities":["text","audio"]"#, "modalities"),
        (r#""seed":4294967296"#, "seed"),
        (r#""stop":["1","2","3","4","5","6"]"#, "stop"),
        (r#""reasoning_effort":"xhigh""#, "reasoning_effort"),
        (r#""tools":[{"type":"custom","custom":{"name":"c"}}]"#, "tools[0].type"),
        (
            r#""tools":[{"type":"function","function":{"name":"f","examples":[]}}]"#,
            "tools[0].function.examples",
        ),
        (r#""messages":[{"role":"system","content":"x"}]"#, "messages"),
        (r#""messages":[{"role":"user","name":"Ann","content":"x"}]"#, "messages[0].name"),
        (r#""messages":[{"role":"function","content":"x"}]"#, "messages[0].role"),
        (r#""messages":[{"role":"user","content":[{"type":"x.y"}]}]"#, "messages[0].content[0].type"),
        (
            r#""messages":[{"role":"user","content":[{"type":"text","text":"x","citations":{}}]}]"#,
            "messages[0].content[0].citations",
        ),
        (
            r#""messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"ftp://a/b"}}]}]"#,
            "messages[0].content[0].image_url.url",
        ),
        (
            r#""messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"}}]}]"#,
            "messages[0].content[0].file.file_id",
        ),
        (
            r#""messages":[{"role":"user","content":[{"type":"image_url","image_url":"data:image/png;base64,eA=="},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,eA==","detail":"high"}}]}]"#,
            "messages[0].content[1].image_url.detail",
        ),
        (
            r#""messages":[{"role":"assistant","tool_calls":[{"type":"custom"}]}]"#,
            "messages[0].tool_calls[0].type",
        ),
    ] {
        check_refused(fields, NO_WORDS, param);
    }
    for (fields, param) in [
        (r#""reasoning_effort":"huge""#, "reasoning_effort"),
        (r#""presence_penalty":3"#, "presence_penalty"),
        (r#""top_k":"many""#, "top_k"),
        (r#""tool_choice":"required""#, "tool_choice"),
        (r#""gemini":[]"#, "gemini"),
        (
            r#""temperature":1,"gemini":{"generationConfig":{"temperature":0.5}}"#,
            "gemini.generationConfig.temperature",
        ),
        (r#""gemini":{"contents":[]}"#, "gemini.contents"),
        (r#""messages":[{"role":"tool","tool_call_id":"t","content":"x"}]"#, "messages[0].tool_call_id"),
        (
            r#""messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"[1]"}}]}]"#,
            "messages[0].tool_calls[0].function.arguments",
        ),
    ] {
        check_refused(fields, "invalid_value", param);
    }
}

#[test]
fn what_asks_for_nothing_is_no_field() {
    let plain = sent("gemini-2.5-pro", r#""n":1"#).expect("a body");
    for fields in [
        r#""logprobs":false,"top_logprobs":0,"presence_penalty":0,"frequency_penalty":0.0,"n":null"#,
        r#""modalities":["text"],"service_tier":"auto","tool_choice":"auto","tools":[],"unheard_of":null"#,
        r#""response_format":{"type":"text"},"stream":true,"stream_options":{"include_usage":true},"functions":[]"#,
        r#""parallel_tool_calls":false,"verbosity":"medium","store":false,"user":"u","safetySettings":null"#,
    ] {
        assert_eq!(sent("gemini-2.5-pro", fields), Ok(plain.clone()), "{fields}");
    }
}

#[test]
fn a_generation_thinks_in_its_own_way() {
    let thinking = |model: &str, effort: &str| {
        let body = sent(model, &format!(r#""reasoning_effort":"{effort}""#));
        body.ok().map(|body| body["generationConfig"]["thinkingConfig"].clone())
    };
    let level = |level: &str| Some(json!({"thinkingLevel": level, "includeThoughts": true}));
    let budget = |tokens: u32| Some(json!({"thinkingBudget": tokens, "includeThoughts": true}));
    assert_eq!(thinking("gemini-3-pro-preview", "low"), level("LOW"));
    assert_eq!(thinking("models/gemini-flash-latest", "xhigh"), level("XHIGH"));
    assert_eq!(thinking("gemini-3-pro-preview", "none"), None);
    assert_eq!(thinking("gemini-2.5-flash", "medium"), budget(8192));
    assert_eq!(thinking("models/gemini-2.5-flash", "none"), Some(json!({"thinkingBudget": 0})));
}

fn kind_of(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Garbage(_) => "garbage",
        Trouble::InBand(_) => "error",
        Trouble::Cut(_) => "cut",
    }
}

fn check_no_answer(body: &str, kind: &str) {
    let trouble = Wire::Gemini.whole(body.as_bytes()).expect_err(body);
    assert_eq!(kind_of(&trouble), kind, "{body}: {trouble:?}");
}

#[test]
fn what_is_no_answer_is_told_from_one() {
    for body in ["", "[]", "7", "{}", r#"{"candidates":[]}"#, r#"{"candidates":{}}"#, r#"{"candidates":[1]}"#]
    {
        check_no_answer(body, "garbage");
    }
    for candidate in [
        r#""content":1"#,
        r#""content":{"parts":{}}"#,
        r#""content":{"parts":[1]}"#,
        r#""index":-1"#,
        r#""content":{"parts":[{"functionCall":{}}]}"#,
        r#""content":{"parts":[{"functionCall":{"name":"f","args":[]}}]}"#,
        r#""content":{"parts":[{"functionCall":{"name":"f","partialArgs":{}}}]}"#,
        r#""content":{"parts":[{"functionCall":{"name":"f","willContinue":true}},{"functionCall":{"name":"g"}}]}"#,
    ] {
        check_no_answer(&format!(r#"{{"candidates":[{{{candidate},"finishReason":"STOP"}}]}}"#), "garbage");
    }
    check_no_answer(r#"{"candidates":[{"content":{"parts":[{"text":"x"}]}}]}"#, "cut");
    check_no_answer(
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","willContinue":true}}]},"finishReason":"STOP"}]}"#,
        "cut",
    );
    for reason in ["MALFORMED_FUNCTION_CALL", "OTHER", "FINISH_REASON_UNSPECIFIED", "NEW_REASON"] {
        check_no_answer(&format!(r#"{{"candidates":[{{"finishReason":"{reason}"}}]}}"#), "error");
    }
    check_no_answer(r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}"#, "error");
    check_no_answer(r#"[{"error":{"code":500}}]"#, "error");
}

#[test]
fn a_stream_is_whole_when_every_candidate_that_was_asked_for_ended() {
    let ended = |answers: u32, events: &[&str]| {
        let mut reader = Wire::Gemini.reader(answers);
        let mut chunks = VecDeque::new();
        for data in events {
            let event = Event { name: String::new(), data: (*data).to_owned() };
            assert_eq!(reader.event(&event, &mut chunks), Ok(Progress::More), "{data}");
        }
        reader.ended().is_ok()
    };
    let first = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#;
    let end = r#"{"candidates":[{"finishReason":"STOP"}]}"#;
    let other = r#"{"candidates":[{"index":1,"finishReason":"MAX_TOKENS"}]}"#;
    assert!(!ended(1, &[]));
    assert!(!ended(1, &[first]));
    assert!(!ended(1, &[first, "{}", r#"{"usageMetadata":{"promptTokenCount":1}}"#]));
    assert!(ended(1, &[first, end]));
    assert!(!ended(2, &[first, end]));
    assert!(!ended(2, &[first, other]));
    assert!(ended(2, &[first, other, end]));
    assert!(ended(2, &[r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#]));
}
