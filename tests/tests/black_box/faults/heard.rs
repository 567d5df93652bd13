//! What a client of any dialect makes of a streamed answer: its words, whether it is called whole, and the error.

use serde_json::Value;
use tests::Events;

/// What came.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// 200 where an answer began.
    pub(crate) status: u16,
    pub(crate) text: String,
    /// The stream said that it is whole: `[DONE]`, `message_stop`, `response.completed`.
    pub(crate) whole: bool,
    /// It ends as an answer does of which the content was filtered.
    pub(crate) declined: bool,
    /// The code of the error that was told, or its type where a dialect has no codes.
    pub(crate) error: Option<String>,
    /// `x-pointsman-attempts`, as far as the head could know.
    pub(crate) attempts: String,
    /// The id of the decision.
    pub(crate) decision: String,
}

impl Heard {
    /// Reads an answer to its end.
    pub(crate) fn read(mut stream: Events) -> Self {
        let mut heard = Self {
            status: stream.status(),
            attempts: stream.header("x-pointsman-attempts").to_owned(),
            decision: stream.header("x-pointsman-decision").to_owned(),
            ..Self::default()
        };
        if !stream.header("content-type").starts_with("text/event-stream") {
            heard.take_whole(&stream.whole().json());
            return heard;
        }
        while let Some(event) = stream.next_event() {
            heard.take(&event);
        }
        heard
    }

    fn take_whole(&mut self, body: &Value) {
        self.take_error(body);
        self.text = body["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned();
        self.whole = self.status == 200 && self.error.is_none();
        self.declined = body["choices"][0]["finish_reason"] == "content_filter";
    }

    fn take(&mut self, event: &str) {
        assert!(!self.whole && self.error.is_none(), "{event} after the end: {self:?}");
        if event == "[DONE]" {
            self.whole = true;
            return;
        }
        let event: Value = serde_json::from_str(event).unwrap_or_else(|error| panic!("{error} in {event}"));
        match event["type"].as_str() {
            Some("message_stop" | "response.completed") => self.whole = true,
            Some("message_delta") => self.declined |= event["delta"]["stop_reason"] == "refusal",
            Some("response.incomplete") => {
                self.declined = event["response"]["incomplete_details"]["reason"] == "content_filter";
                self.whole = self.declined;
            }
            // The error itself follows.
            Some("response.failed") => {}
            Some("content_block_delta") => {
                self.text += event["delta"]["text"].as_str().unwrap_or_default();
            }
            Some("response.output_text.delta") => self.text += event["delta"].as_str().unwrap_or_default(),
            _ => {
                for choice in event["choices"].as_array().into_iter().flatten() {
                    self.text += choice["delta"]["content"].as_str().unwrap_or_default();
                    self.declined |= choice["finish_reason"] == "content_filter";
                }
                self.take_error(&event);
            }
        }
    }

    fn take_error(&mut self, body: &Value) {
        let error = &body["error"];
        if error.is_object() {
            let code = error["code"].as_str().or_else(|| error["type"].as_str());
            self.error = Some(code.unwrap_or("unnamed").to_owned());
        }
    }
}
