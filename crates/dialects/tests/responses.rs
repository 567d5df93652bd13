//! OpenAI's Responses and older completions, by their laws: the same dialect in and out loses nothing, and every stream is
//! told from its pieces. Single requests and answers are recordings: see `golden.rs`.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::VecDeque;

use api::sse::{Decoder, Event};
use api::{ChatRequest, Chunk, Completion, Error, Fault, Gather};
use dialects::{Client, Face, Progress, Trouble, Wire};
use serde_json::{Value, json};

fn read(face: Face, body: &Value) -> Result<(ChatRequest, Client), Error> {
    face.read(body.as_object().cloned().expect("an object"))
}

fn sent(wire: Wire, request: &ChatRequest) -> Result<Value, Error> {
    Ok(serde_json::from_slice(&wire.body(request, "theirs")?).expect("JSON"))
}

fn with(mut body: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().expect("an object") {
        body[key] = value.clone();
    }
    body
}

#[test]
fn a_chat_request_is_written_for_a_provider() {
    let body = json!({"model": "m", "max_tokens": 5, "n": 1, "stop": [], "logprobs": true, "top_logprobs": 1,
        "stream": true, "stream_options": {"include_usage": true}, "reasoning_effort": "high",
        "response_format": {"type": "json_object"}, "max_tool_calls": 2, "logit_bias": {}, "seed": null,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "https://a.b/c"}}]},
            {"role": "assistant", "content": null, "reasoning_content": "hm",
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "no", "is_error": true}]});
    let (request, _) = read(Face::Chat, &body).expect("a request");
    assert_eq!(
        sent(Wire::Responses, &request).expect("a body"),
        json!({"model": "theirs", "max_output_tokens": 5, "top_logprobs": 1, "stream": true, "max_tool_calls": 2,
            "include": ["message.output_text.logprobs"], "store": false, "instructions": "s",
            "reasoning": {"effort": "high"}, "text": {"format": {"type": "json_object"}},
            "tools": [{"type": "function", "name": "f", "strict": false, "parameters": null}],
            "input": [
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "t"},
                    {"type": "input_image", "image_url": "https://a.b/c", "detail": "auto"}]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "no", "status": "incomplete"}]})
    );
}

// === answers ===

fn usage() -> Value {
    json!({"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 16})
}

/// A response as the API gives it to the request `{"model": "m", "input": "x"}`.
fn response(status: &str, output: &Value, more: &Value) -> Value {
    let base = json!({"id": "resp_1", "object": "response", "created_at": 5, "status": status, "error": null,
        "incomplete_details": null, "model": "m-1", "output": output, "background": false, "instructions": null,
        "max_output_tokens": null, "max_tool_calls": null, "parallel_tool_calls": true,
        "previous_response_id": null, "reasoning": {"effort": "medium", "summary": null}, "store": false,
        "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
        "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "user": null, "metadata": {}, "usage": usage(),
        "service_tier": "default", "newer": {"x": 1}});
    with(base, more)
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
}

fn message(id: &str, content: &Value) -> Value {
    json!({"id": id, "type": "message", "status": "completed", "role": "assistant", "content": content})
}

fn outputs() -> Vec<Value> {
    let cite = |at: u64| json!({"type": "url_citation", "start_index": at, "end_index": at + 1, "url": "https://a.b", "title": "t"});
    let noted = json!({"type": "output_text", "annotations": [cite(0), {"type": "file_citation", "file_id": "f",
        "filename": "n", "index": 1}], "text": "é!",
        "logprobs": [{"token": "é!", "logprob": -0.1, "bytes": [1], "top_logprobs": []}]});
    let cited = json!({"type": "output_text", "annotations": [cite(1)], "logprobs": [], "text": "fin"});
    let thought = |id: &str, texts: &[&str]| {
        let summary: Vec<Value> =
            texts.iter().map(|text| json!({"type": "summary_text", "text": text})).collect();
        json!({"id": id, "type": "reasoning", "summary": summary, "encrypted_content": "gA"})
    };
    let call = |n: u32| {
        json!({"id": format!("fc_{n}"), "type": "function_call", "status": "completed",
            "call_id": format!("call_{n}"), "name": "f", "arguments": "{\"a\":1}"})
    };
    let search =
        json!({"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search"}});
    let said = message("msg_1", &json!([text_part("Hé llo")]));
    let phased = with(message("msg_2", &json!([cited])), &json!({"phase": "final_answer"}));
    let raw = json!({"id": "rs_9", "type": "reasoning", "summary": [],
        "content": [{"type": "reasoning_text", "text": "raw"}]});
    vec![
        json!([said]),
        json!([message("msg_1", &json!([noted]))]),
        json!([thought("rs_1", &["one", "two"]), said]),
        json!([thought("rs_1", &[]), said]),
        json!([raw, said]),
        json!([thought("rs_1", &["one"]), thought("rs_2", &["two"]), call(1), call(2)]),
        json!([said, call(1)]),
        json!([call(1), thought("rs_1", &["one"]), call(2)]),
        json!([search, message("msg_1", &json!([noted, cited])), phased]),
        json!([message("msg_1", &json!([{"type": "refusal", "refusal": "No."}]))]),
        json!([message("msg_1", &json!([text_part("Well"), {"type": "refusal", "refusal": "No."}]))]),
        json!([]),
    ]
}

fn client() -> Client {
    read(Face::Responses, &json!({"model": "m", "input": "x"})).expect("a request").1
}

fn whole(response: &Value) -> Result<Completion, Trouble> {
    Wire::Responses.whole(response.to_string().as_bytes())
}

fn check_answer(came: &Value) {
    let completion = whole(came).expect("an answer");
    let told: Value = serde_json::from_slice(&client().whole(&completion).expect("a body")).expect("JSON");
    assert_eq!(told, *came);
    let bytes = came.to_string();
    for cut in 0..bytes.len() {
        assert!(Wire::Responses.whole(&bytes.as_bytes()[..cut]).is_err(), "whole when cut at {cut}");
    }
}

#[test]
fn an_answer_comes_back_whole() {
    for output in outputs() {
        check_answer(&response("completed", &output, &json!({})));
    }
    let mut cut = message("msg_1", &json!([text_part("Hel")]));
    cut["status"] = json!("incomplete");
    for reason in ["max_output_tokens", "content_filter", "max_messages"] {
        check_answer(&response(
            "incomplete",
            &json!([cut]),
            &json!({"incomplete_details": {"reason": reason}}),
        ));
    }
}

fn check_trouble(body: &Value, expected: &str) {
    let kind = match whole(body) {
        Ok(_) => "answer".to_owned(),
        Err(Trouble::Garbage(_)) => "garbage".to_owned(),
        Err(Trouble::Cut(_)) => "cut".to_owned(),
        Err(Trouble::InBand(error)) => format!("error {}", error["code"].as_str().unwrap_or("?")),
    };
    assert_eq!(kind, expected, "{body}");
}

#[test]
fn no_answer_is_told_from_an_answer() {
    let none = json!([]);
    check_trouble(&json!({"error": {"code": "server_error", "message": "x"}}), "error server_error");
    check_trouble(&response("failed", &none, &json!({})), "error ?");
    check_trouble(
        &response("failed", &none, &json!({"error": {"code": "rate_limit_exceeded"}})),
        "error rate_limit_exceeded",
    );
    check_trouble(&response("in_progress", &none, &json!({})), "cut");
    check_trouble(&response("cancelled", &none, &json!({})), "cut");
    check_trouble(&response("incomplete", &none, &json!({})), "cut");
    check_trouble(&json!({"object": "list"}), "garbage");
    check_trouble(&json!([1]), "garbage");
    check_trouble(&json!({"output": [null, 1, {"type": 7}, {"type": "message", "content": 3}]}), "answer");
    check_trouble(
        &json!({"output": [], "usage": {"input_tokens": "x"}, "created_at": 1.5, "model": 3}),
        "answer",
    );
}

// === streams ===

/// The official events of a response, texts in two pieces.
fn stream(last: &Value) -> Vec<Value> {
    let status = last["status"].as_str().expect("a status");
    let early = with(
        last.clone(),
        &json!({"status": "in_progress", "output": [], "usage": null,
        "incomplete_details": null}),
    );
    let mut events = vec![
        json!({"type": "response.created", "response": early}),
        json!({"type": "response.in_progress", "response": early}),
    ];
    for (place, item) in last["output"].as_array().expect("items").iter().enumerate() {
        let added = |opening: &Value| json!({"type": "response.output_item.added", "output_index": place, "item": opening});
        let about = |kind: &str, more: &Value| {
            with(json!({"type": kind, "item_id": item["id"], "output_index": place}), more)
        };
        match item["type"].as_str().expect("a type") {
            "message" => {
                events.push(added(&with(item.clone(), &json!({"status": "in_progress", "content": []}))));
                parts(item, "content", &about, &mut events);
            }
            "reasoning" => {
                let mut opening = with(item.clone(), &json!({"summary": []}));
                opening
                    .as_object_mut()
                    .expect("an object")
                    .retain(|key, _| ["id", "type", "summary"].contains(&key.as_str()));
                events.push(added(&opening));
                parts(item, "summary", &about, &mut events);
                parts(item, "content", &about, &mut events);
            }
            "function_call" => {
                events.push(added(&with(item.clone(), &json!({"status": "in_progress", "arguments": ""}))));
                let arguments = item["arguments"].as_str().expect("arguments");
                let (one, two) = arguments.split_at(3);
                let kind = "response.function_call_arguments";
                for piece in [one, two] {
                    events.push(about(&format!("{kind}.delta"), &json!({"delta": piece})));
                }
                events.push(about(
                    &format!("{kind}.done"),
                    &json!({"name": item["name"], "arguments": arguments}),
                ));
            }
            _ => {
                events.push(added(&with(item.clone(), &json!({"status": "in_progress"}))));
                events.push(about("response.web_search_call.searching", &json!({})));
            }
        }
        events.push(json!({"type": "response.output_item.done", "output_index": place, "item": item}));
    }
    events.push(json!({"type": format!("response.{status}"), "response": last}));
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    events
}

fn parts(item: &Value, list: &str, about: &dyn Fn(&str, &Value) -> Value, events: &mut Vec<Value>) {
    for (place, part) in item[list].as_array().into_iter().flatten().enumerate() {
        let index = if list == "summary" { "summary_index" } else { "content_index" };
        let (frame, kind, key) = match part["type"].as_str().expect("a type") {
            "output_text" => ("response.content_part", "response.output_text", "text"),
            "refusal" => ("response.content_part", "response.refusal", "refusal"),
            "summary_text" => ("response.reasoning_summary_part", "response.reasoning_summary_text", "text"),
            _ => ("response.content_part", "response.reasoning_text", "text"),
        };
        let at = |kind: &str, more: &Value| with(about(kind, &json!({ index: place })), more);
        let is_text = kind == "response.output_text";
        let mut opening = with(part.clone(), &json!({ key: "" }));
        if is_text {
            opening = with(opening, &json!({"annotations": [], "logprobs": []}));
        }
        events.push(at(&format!("{frame}.added"), &json!({"part": opening})));
        let text = part[key].as_str().expect("text");
        let middle = text.char_indices().nth(1).map_or(text.len(), |(at, _)| at);
        let (one, two) = text.split_at(middle);
        for (piece, tokens) in [(one, &json!([])), (two, &part["logprobs"])] {
            let mut event = at(&format!("{kind}.delta"), &json!({"delta": piece}));
            if is_text {
                event["logprobs"] = tokens.clone();
            }
            events.push(event);
        }
        for (n, annotation) in part["annotations"].as_array().into_iter().flatten().enumerate() {
            events.push(at(
                "response.output_text.annotation.added",
                &json!({"annotation_index": n, "annotation": annotation}),
            ));
        }
        let mut done = at(&format!("{kind}.done"), &json!({ key: text }));
        if is_text {
            done["logprobs"] = part["logprobs"].clone();
        }
        events.push(done);
        events.push(at(&format!("{frame}.done"), &json!({"part": part})));
    }
}

fn written(events: &[Value]) -> String {
    let write =
        |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().expect("a type"));
    events.iter().map(write).collect()
}

fn events(bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    Decoder::new(1 << 20).push(bytes, &mut events).expect("a readable stream");
    events
}

fn chunks(bytes: &[u8]) -> Result<Vec<Chunk>, Trouble> {
    let (mut reader, mut chunks) = (Wire::Responses.reader(1), VecDeque::new());
    for event in events(bytes) {
        if reader.event(&event, &mut chunks)? == Progress::Done {
            return Ok(chunks.into());
        }
    }
    reader.ended().map(|()| chunks.into())
}

fn gathered(chunks: &[Chunk]) -> Completion {
    let mut gather = Gather::new();
    chunks.iter().for_each(|chunk| gather.push(chunk));
    gather.finish()
}

fn told(client: &Client, chunks: &[Chunk]) -> Vec<Value> {
    let mut writer = client.writer();
    let mut out = Vec::new();
    for chunk in chunks {
        out.extend_from_slice(&writer.chunk(chunk).expect("events"));
    }
    out.extend_from_slice(&writer.finish(&gathered(chunks), json!({"x": 1})).expect("events"));
    let read = |event: Event| {
        let mut data: Value = serde_json::from_str(&event.data).expect("JSON");
        assert_eq!(data["type"], event.name);
        if let Some(told) = data.as_object_mut().expect("an object").shift_remove("pointsman") {
            assert_eq!(told, json!({"x": 1}));
        }
        data
    };
    events(&out).into_iter().map(read).collect()
}

/// What the provider knows from the start, the house says at the end.
fn without_early_fields(mut events: Vec<Value>) -> Vec<Value> {
    for event in events.iter_mut().take(2) {
        event["response"].as_object_mut().expect("a response").retain(|key, _| {
            ["id", "object", "created_at", "status", "model", "output", "usage", "tools", "store"]
                .contains(&key.as_str())
        });
    }
    events
}

fn check_stream(last: &Value) {
    let came = stream(last);
    let bytes = written(&came);
    let read = chunks(bytes.as_bytes()).unwrap_or_else(|trouble| panic!("{trouble:?}"));
    let (got, expected) = (without_early_fields(told(&client(), &read)), without_early_fields(came));
    for (place, (got, expected)) in got.iter().zip(&expected).enumerate() {
        assert_eq!(got, expected, "event {place} of {}", last["output"]);
    }
    assert_eq!(got.len(), expected.len());
    // The whole and the gathered stream say the same, to this dialect and to chat.
    let (one, other) = (whole(last).expect("an answer"), gathered(&read));
    assert_eq!(one.choices[0].message.content, other.choices[0].message.content);
    for key in ["reasoning_content", "reasoning_items", "annotations", "refusal", "tool_calls"] {
        let of = |completion: &Completion| completion.choices[0].message.extra.get(key).cloned();
        assert_eq!(of(&one), of(&other), "{key}");
    }
    assert_eq!(client().whole(&other).map(parsed), Ok(last.clone()));
    // What is kept whole streams as it would have come.
    let again = told(&client(), &one.into_chunks());
    assert_eq!(again.last().expect("events")["response"], *last);
    for cut in 0..bytes.len() - 1 {
        let trouble = chunks(&bytes.as_bytes()[..cut]);
        assert!(matches!(trouble, Err(Trouble::Cut(_))), "cut at {cut}: {trouble:?}");
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over")]
fn parsed(bytes: bytes::Bytes) -> Value {
    serde_json::from_slice(&bytes).expect("JSON")
}

#[test]
fn a_stream_comes_back_event_by_event() {
    for output in outputs() {
        check_stream(&response("completed", &output, &json!({})));
    }
}

#[test]
fn a_stream_that_fails_is_no_answer() {
    let check = |event: Value, code: &str| match chunks(written(std::slice::from_ref(&event)).as_bytes()) {
        Err(Trouble::InBand(error)) => assert_eq!(error["code"], code, "{event}"),
        other => panic!("{event}: {other:?}"),
    };
    check(
        json!({"type": "error", "code": "server_error", "message": "x", "sequence_number": 3}),
        "server_error",
    );
    check(json!({"type": "error", "error": {"type": "t", "code": "c", "message": "x"}}), "c");
    let failed =
        response("failed", &json!([]), &json!({"error": {"code": "rate_limit_exceeded", "message": "x"}}));
    check(json!({"type": "response.failed", "response": failed}), "rate_limit_exceeded");
    assert!(matches!(chunks(b"data: [DONE]\n\n"), Err(Trouble::Cut(_))));
    assert!(matches!(chunks(b"data: {\n\n"), Err(Trouble::Garbage(_))));
    let odd = [
        r#"{"type":"response.x","output_index":9}"#,
        r#"{"type":7}"#,
        r#"{"type":"response.output_item.added","item":4}"#,
        r#"{"type":"response.output_item.done","item":{"type":null,"content":2}}"#,
        r#"{"type":"response.output_text.delta","delta":[],"output_index":-1,"logprobs":null}"#,
        r#"{"type":"response.function_call_arguments.done","output_index":4}"#,
        r#"{"type":"response.content_part.added","part":null}"#,
    ];
    for data in odd {
        let bytes = format!("data: {data}\n\n");
        assert!(matches!(chunks(bytes.as_bytes()), Err(Trouble::Cut(_))), "{data}");
    }
}

#[test]
fn a_chats_stream_is_written_in_official_order() {
    let chunk = |delta: Value, finish: Option<&str>| -> Chunk {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        serde_json::from_value(json!({"id": "chatcmpl-1", "created": 5, "model": "m", "choices": [choice]}))
            .expect("a chunk")
    };
    let call = |index: u32, id: &str, name: &str, arguments: &str| {
        let mut call = json!({"index": index, "function": {"arguments": arguments}});
        if !id.is_empty() {
            call["id"] = json!(id);
            call["function"]["name"] = json!(name);
        }
        json!({"tool_calls": [call]})
    };
    let mut pieces = vec![
        chunk(json!({"role": "assistant", "content": ""}), None),
        chunk(json!({"reasoning_content": "h"}), None),
        chunk(json!({"reasoning_content": "m"}), None),
        chunk(json!({"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]}), None),
        chunk(json!({"content": "a"}), None),
        chunk(call(0, "call_x", "f", ""), None),
        chunk(call(1, "call_y", "g", "{"), None),
        chunk(call(0, "", "", "{}"), None),
        chunk(call(1, "", "", "}"), None),
        chunk(
            json!({"annotations": [{"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1}}]}),
            None,
        ),
        chunk(json!({}), Some("tool_calls")),
    ];
    pieces.push(Chunk::of_usage("chatcmpl-1", 5, "m", api::Usage::exact(3, 4)));
    let events = told(&client(), &pieces);
    let names: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().expect("a type").trim_start_matches("response."))
        .collect();
    assert_eq!(
        names,
        [
            "created",
            "in_progress",
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.delta",
            "function_call_arguments.delta",
            "output_text.annotation.added",
            "function_call_arguments.done",
            "output_item.done",
            "function_call_arguments.done",
            "output_item.done",
            "completed"
        ]
    );
    let last = &events.last().expect("events")["response"];
    assert_eq!(last["usage"]["total_tokens"], 7);
    let output = last["output"].as_array().expect("items");
    assert_eq!(output[1]["content"][0]["annotations"][0]["url"], "u");
    assert_eq!((&output[2]["arguments"], &output[3]["arguments"]), (&json!("{}"), &json!("{}")));
    // What a provider streams is read as what was written, and the next request undoes what was made up.
    let again = gathered(&chunks(written(&events).as_bytes()).expect("a whole stream"));
    let first = gathered(&pieces);
    for key in ["reasoning_content", "annotations"] {
        assert_eq!(again.choices[0].message.extra[key], first.choices[0].message.extra[key]);
    }
    assert_eq!((again.text(), again.choices[0].finish_reason.as_deref()), ("a", Some("tool_calls")));
    let (request, _) = read(Face::Responses, &json!({"model": "m", "input": output})).expect("a request");
    let message = &request.body["messages"][0];
    assert_eq!(message["reasoning_content"], "hm");
    assert_eq!(message["thinking_blocks"][0]["signature"], "s");
    assert_eq!(message["tool_calls"][1]["id"], "call_y");
    assert!(message.get("reasoning_items").is_none());
}

#[test]
fn a_broken_stream_says_so() {
    let mut writer = client().writer();
    writer.chunk(&Chunk::text("a", 1, "m", "x")).expect("events");
    let bytes =
        writer.broken(&Error::new(Fault::UpstreamFailed, "upstream_failed", "Try again.")).expect("events");
    let events = events(&bytes);
    assert_eq!(
        events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(),
        ["response.failed", "error"]
    );
    assert!(matches!(chunks(&bytes), Err(Trouble::InBand(_))));
}

// === older completions ===

#[test]
fn older_completions_are_a_chat_of_one_message() {
    let body = json!({"model": "m", "prompt": ["Say"], "echo": true, "best_of": 1, "max_tokens": 3, "stream": true,
        "stream_options": {"include_usage": true}, "suffix": null});
    let (request, client) = read(Face::Completions, &body).expect("a request");
    assert_eq!(request.last_user_text(), "Say");
    assert_eq!(request.sampling.max_tokens, Some(3));
    let completion = Completion::of_text("c", 5, "m", " hi".to_owned(), api::Usage::exact(1, 1));
    let whole = parsed(client.whole(&completion).expect("a body"));
    assert_eq!(
        (&whole["id"], &whole["object"], &whole["choices"][0]["text"], &whole["choices"][0]["finish_reason"]),
        (&json!("cmpl-c"), &json!("text_completion"), &json!("Say hi"), &json!("stop"))
    );
    let mut writer = client.writer();
    let mut out = Vec::new();
    for chunk in completion.clone().into_chunks() {
        out.extend_from_slice(&writer.chunk(&chunk).expect("events"));
    }
    out.extend_from_slice(&writer.finish(&completion, json!({})).expect("events"));
    let events = events(&out);
    let texts: String = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(&event.data).ok())
        .filter_map(|event| Some(event["choices"].get(0)?["text"].as_str()?.to_owned()))
        .collect();
    assert_eq!(texts, "Say hi");
    assert_eq!(events.last().expect("events").data, "[DONE]");
    assert!(events[events.len() - 2].data.contains("\"total_tokens\":2"));

    let (request, client) =
        read(Face::Completions, &json!({"model": "m", "prompt": "x", "logprobs": 1})).expect("a request");
    assert!(request.sampling.logprobs && request.sampling.top_logprobs == 1);
    let mut completion = Completion::of_text("c", 5, "m", "ab".to_owned(), api::Usage::exact(1, 1));
    let token = |text: &str| json!({"token": text, "logprob": -1.0, "top_logprobs": [{"token": text, "logprob": -1.0}]});
    completion.choices[0].extra.insert("logprobs".to_owned(), json!({"content": [token("a"), token("b")]}));
    let whole = parsed(client.whole(&completion).expect("a body"));
    assert_eq!(
        whole["choices"][0]["logprobs"],
        json!({"tokens": ["a", "b"], "token_logprobs": [-1.0, -1.0], "text_offset": [0, 1],
            "top_logprobs": [{"a": -1.0}, {"b": -1.0}]})
    );
}
