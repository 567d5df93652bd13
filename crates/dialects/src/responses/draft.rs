//! The items of an answer that is being written.
//!
//! Owns what has been said of each so far, and its form at the beginning and at the end. Refuses all I/O and all events:
//! those are the writer's.

use serde_json::{Map, Value, json};

use super::{items, list_of, object};

/// What a part of an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartKind {
    /// Text of a message.
    Text,
    /// A message's refusal.
    Refusal,
    /// A paragraph about the reasoning.
    Summary,
    /// The reasoning itself.
    ReasoningText,
}

impl PartKind {
    pub(super) fn is_reasoning(self) -> bool {
        matches!(self, Self::Summary | Self::ReasoningText)
    }

    /// Where events name the part's place.
    pub(super) fn index_key(self) -> &'static str {
        match self {
            Self::Summary => "summary_index",
            _ => "content_index",
        }
    }

    /// Where the item keeps its parts of this kind.
    pub(super) fn list_key(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            _ => "content",
        }
    }

    /// The event that opens a part.
    pub(super) fn added(self) -> &'static str {
        match self {
            Self::Summary => "response.reasoning_summary_part.added",
            _ => "response.content_part.added",
        }
    }

    /// The event that closes a part.
    pub(super) fn part_done(self) -> &'static str {
        match self {
            Self::Summary => "response.reasoning_summary_part.done",
            _ => "response.content_part.done",
        }
    }

    /// The events of its text begin with this.
    pub(super) fn text_event(self) -> &'static str {
        match self {
            Self::Text => "response.output_text",
            Self::Refusal => "response.refusal",
            Self::Summary => "response.reasoning_summary_text",
            Self::ReasoningText => "response.reasoning_text",
        }
    }

    /// Where the event that ends its text has all of it.
    pub(super) fn done_key(self) -> &'static str {
        if self == Self::Refusal { "refusal" } else { "text" }
    }

    /// The part before anything was said.
    pub(super) fn empty(self) -> Value {
        self.with("", &[], &[])
    }

    fn with(self, text: &str, annotations: &[Value], logprobs: &[Value]) -> Value {
        match self {
            Self::Text => {
                json!({"type": "output_text", "annotations": annotations, "logprobs": logprobs, "text": text})
            }
            Self::Refusal => json!({"type": "refusal", "refusal": text}),
            Self::Summary => json!({"type": "summary_text", "text": text}),
            Self::ReasoningText => json!({"type": "reasoning_text", "text": text}),
        }
    }

    /// The kind of a part in this dialect.
    pub(super) fn of(part: &Value) -> Option<Self> {
        match super::text_of(part, "type") {
            "output_text" => Some(Self::Text),
            "refusal" => Some(Self::Refusal),
            "summary_text" => Some(Self::Summary),
            "reasoning_text" => Some(Self::ReasoningText),
            _ => None,
        }
    }
}

/// A part.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) kind: PartKind,
    pub(super) index: usize,
    pub(super) text: String,
    pub(super) annotations: Vec<Value>,
    pub(super) logprobs: Vec<Value>,
    /// Characters of the answer's text before it.
    pub(super) begins: u64,
    pub(super) done: bool,
}

impl Part {
    pub(super) fn value(&self) -> Value {
        self.kind.with(&self.text, &self.annotations, &self.logprobs)
    }
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Reasoning,
    Call,
    Foreign,
}

/// An item.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) kind: Kind,
    /// Its own fields, without what is said in it; all of it where it came whole.
    pub(super) fields: Map<String, Value>,
    pub(super) parts: Vec<Part>,
    pub(super) arguments: String,
    /// Signed blocks of another dialect's reasoning.
    pub(super) blocks: Vec<Value>,
    /// Its opening event has been written.
    pub(super) told: bool,
    pub(super) done: bool,
    /// It came whole, so that its fields are all of it.
    pub(super) is_whole: bool,
}

impl Item {
    pub(super) fn new(kind: Kind, fields: Map<String, Value>) -> Self {
        Self {
            kind,
            fields,
            parts: Vec::new(),
            arguments: String::new(),
            blocks: Vec::new(),
            told: false,
            done: false,
            is_whole: false,
        }
    }

    pub(super) fn id(&self) -> &str {
        self.fields.get("id").and_then(Value::as_str).unwrap_or_default()
    }

    /// How many parts it has where parts of this kind stand.
    pub(super) fn count(&self, kind: PartKind) -> usize {
        self.parts.iter().filter(|part| part.kind.list_key() == kind.list_key()).count()
    }

    /// The item before anything was said in it.
    pub(super) fn opening(&self) -> Value {
        let mut item = self.fields.clone();
        match self.kind {
            Kind::Message => {
                item.insert("status".to_owned(), "in_progress".into());
                item.insert("content".to_owned(), json!([]));
            }
            Kind::Reasoning => {
                item.insert("summary".to_owned(), json!([]));
            }
            Kind::Call => {
                item.insert("status".to_owned(), "in_progress".into());
                item.insert("arguments".to_owned(), "".into());
            }
            Kind::Foreign => {}
        }
        Value::Object(item)
    }

    /// The item with all that was said in it.
    pub(super) fn value(&self, status: &str) -> Value {
        let mut item = self.fields.clone();
        match self.kind {
            Kind::Message => {
                item.insert("status".to_owned(), status.into());
                item.insert("content".to_owned(), self.list("content"));
            }
            Kind::Reasoning if !self.is_whole => {
                item.insert("summary".to_owned(), self.list("summary"));
                if self.count(PartKind::ReasoningText) > 0 {
                    item.insert("content".to_owned(), self.list("content"));
                }
                if !self.blocks.is_empty() {
                    item.insert("encrypted_content".to_owned(), json!(self.blocks).to_string().into());
                }
            }
            Kind::Call => {
                item.insert("status".to_owned(), status.into());
                item.insert("arguments".to_owned(), self.arguments.clone().into());
            }
            Kind::Reasoning | Kind::Foreign => {}
        }
        Value::Object(item)
    }

    fn list(&self, key: &str) -> Value {
        self.parts.iter().filter(|part| part.kind.list_key() == key).map(Part::value).collect()
    }
}

/// A reasoning item that nobody gave.
pub(super) fn made_up_reasoning(seed: &str) -> Map<String, Value> {
    // Anything in the text: only the id and the type are taken.
    let mut item = items::made_up_reasoning(seed, "-", &[]).map(object).unwrap_or_default();
    item.shift_remove("summary");
    item
}

/// The parts of an item that came whole.
pub(super) fn parts(item: &Value) -> impl Iterator<Item = (PartKind, &Value)> {
    let parts = list_of(item, "summary").iter().chain(list_of(item, "content"));
    parts.filter_map(|part| PartKind::of(part).map(|kind| (kind, part)))
}
