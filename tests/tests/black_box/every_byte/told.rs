//! What a client of each dialect is told by a streamed answer: its text, and how it ended.

use serde_json::{Value, json};
use tests::Events;

/// The dialect that a client speaks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Face {
    Chat,
    Messages,
    Responses,
}

impl Face {
    pub(super) const ALL: [Self; 3] = [Self::Chat, Self::Messages, Self::Responses];

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
            Self::Responses => "/v1/responses",
        }
    }

    /// A question for a stream.
    pub(super) fn question(self, model: &str) -> Value {
        let messages = json!([{"role": "user", "content": "Which way?"}]);
        match self {
            Self::Chat => json!({"model": model, "stream": true, "messages": messages}),
            Self::Messages => {
                json!({"model": model, "stream": true, "messages": messages, "max_tokens": 100})
            }
            Self::Responses => json!({"model": model, "stream": true, "input": "Which way?", "store": false}),
        }
    }
}

/// What came.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) status: u16,
    /// `x-pointsman-attempts`.
    pub(super) attempts: String,
    pub(super) text: String,
    /// It said that this was all.
    pub(super) whole: bool,
    /// Something came after that, or after an error.
    pub(super) goes_on: bool,
    /// The code of the error that it ended by.
    pub(super) error: Option<String>,
}

impl Told {
    /// Reads an answer to its end.
    pub(super) fn of(face: Face, mut stream: Events) -> Self {
        let attempts = stream.header("x-pointsman-attempts").to_owned();
        let mut told = Self { status: stream.status(), attempts, ..Self::default() };
        if told.status != 200 {
            let body = stream.whole().json();
            told.error = Some(code(&body["error"]));
            return told;
        }
        while let Some(event) = stream.next_event() {
            let ended = told.error.is_some() || told.whole;
            if event == "[DONE]" {
                told.goes_on |= ended;
                told.whole = true;
                continue;
            }
            let event: Value =
                serde_json::from_str(&event).unwrap_or_else(|error| panic!("{error} in {event}"));
            // This dialect tells an error twice: by the response's end, and by an event of its own.
            let again = told.error.is_some() && event["type"] == "error";
            told.goes_on |= ended && !again;
            told.event(face, &event);
        }
        told
    }

    fn event(&mut self, face: Face, event: &Value) {
        let kind = event["type"].as_str().unwrap_or_default();
        let text = match (face, kind) {
            (Face::Messages, "content_block_delta") => &event["delta"]["text"],
            (Face::Responses, "response.output_text.delta") => &event["delta"],
            (Face::Chat, _) => &event["choices"][0]["delta"]["content"],
            _ => &Value::Null,
        };
        self.text += text.as_str().unwrap_or_default();
        self.whole |= matches!(kind, "message_stop" | "response.completed");
        let error = if kind == "response.failed" { &event["response"]["error"] } else { &event["error"] };
        if kind == "error" || !error.is_null() {
            self.error = Some(code(if error.is_null() { event } else { error }));
        }
    }
}

/// The code of an error. Anthropic's dialect has none: what we add there says it.
fn code(error: &Value) -> String {
    error["code"].as_str().unwrap_or_default().to_owned()
}
