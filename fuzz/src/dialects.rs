//! What holds for any bytes that a client or a provider sends: nothing panics, a stream means the same wherever it is
//! cut, what is written is JSON, and an answer that is called whole is.

use std::collections::VecDeque;

use api::sse::{Broken, Decoder, Event};
use api::{ChatRequest, Chunk, Completion, Error, Fault, Gather, parse_object};
use bytes::Bytes;
use dialects::{Client, Face, Progress, Trouble, Wire, read_for_count};
use serde_json::{Map, Value};

const WIRES: [Wire; 4] = [Wire::Chat, Wire::Responses, Wire::Messages, Wire::Gemini];
const EVENT_BYTES_MAX: usize = 256;

/// The events of a stream that comes in `pieces`, and why there are no more.
fn events<'b>(pieces: impl IntoIterator<Item = &'b [u8]>, cap: usize) -> (Vec<Event>, Result<bool, Broken>) {
    let mut decoder = Decoder::new(cap);
    let mut events = Vec::new();
    for piece in pieces {
        if let Err(broken) = decoder.push(piece, &mut events) {
            return (events, Err(broken));
        }
    }
    (events, Ok(decoder.is_mid_event()))
}

/// A stream of events, cut after each byte, and in two after as many bytes as its first one says.
pub fn sse(data: &[u8]) {
    let whole = events([data], EVENT_BYTES_MAX);
    assert_eq!(whole, events(data.chunks(1), EVENT_BYTES_MAX), "cut after each byte");
    let cut = data.first().map_or(0, |byte| usize::from(*byte)).min(data.len());
    let (start, end) = data.split_at(cut);
    assert_eq!(whole, events([start, end], EVENT_BYTES_MAX), "cut after {cut}");
}

/// A chat client's body, of today or of old, for a provider of any dialect.
pub fn chat_bodies(data: &[u8]) {
    bodies(&[Face::Chat, Face::Completions], data);
}

/// A messages client's body, for a provider of any dialect; the same without `max_tokens` is counted.
pub fn messages_bodies(data: &[u8]) {
    bodies(&[Face::Messages], data);
    let Ok(body) = parse_object(data) else { return };
    if let Err(error) = read_for_count(body) {
        assert_eq!(error.fault, Fault::BadRequest, "{error}");
    }
}

/// A Responses client's body, for a provider of any dialect.
pub fn responses_bodies(data: &[u8]) {
    bodies(&[Face::Responses], data);
}

fn bodies(faces: &[Face], data: &[u8]) {
    let Ok(body) = parse_object(data) else { return };
    for face in faces {
        let request = match face.read(body.clone()) {
            Ok((request, _)) => request,
            Err(error) => {
                assert_eq!(error.fault, Fault::BadRequest, "{error}");
                assert!(face.refusal(&error, "id").is_object());
                continue;
            }
        };
        for (wire, model) in
            WIRES.iter().flat_map(|wire| ["gemini-2.5-pro", "gemini-3-pro"].map(|model| (wire, model)))
        {
            check_sent(*wire, &request, model);
        }
    }
}

fn check_sent(wire: Wire, request: &ChatRequest, model: &str) {
    match wire.body(request, model) {
        Ok(body) => {
            let read = serde_json::from_slice::<Map<String, Value>>(&body);
            assert!(read.is_ok(), "{wire:?} wrote no object");
        }
        Err(error) => {
            assert_eq!(error.fault, Fault::BadRequest, "{error}");
            assert!(error.param.is_some() && !error.message.is_empty(), "{error}");
        }
    }
}

/// What any provider may answer, whole and as a stream.
pub fn answers(data: &[u8]) {
    for wire in WIRES {
        if let Ok(completion) = wire.whole(data) {
            assert!(!completion.choices.is_empty());
            assert!(wire != Wire::Gemini || completion.is_whole());
            clients()
                .iter()
                .for_each(|client| check_told(client, &completion.clone().into_chunks(), &completion));
        }
        let read = chunks(wire, &events([data], 1 << 20).0);
        let cut = data.len() / 2;
        let again = chunks(wire, &events([&data[..cut], &data[cut..]], 1 << 20).0);
        assert_eq!(read, again, "{wire:?}");
        if let (chunks, Ok(true)) = read {
            let mut gather = Gather::new();
            chunks.iter().for_each(|chunk| gather.push(chunk));
            let completion = gather.finish();
            assert!(!completion.choices.is_empty(), "{wire:?} called an empty stream whole");
            assert!(completion.is_whole() || wire == Wire::Chat, "{wire:?}");
            clients().iter().for_each(|client| check_told(client, &chunks, &completion));
        }
    }
}

/// A client of every dialect.
fn clients() -> [Client; 4] {
    [
        (Face::Chat, r#"{"model":"m","messages":[{"role":"user","content":"x"}],"stream_options":{"include_usage":true}}"#),
        (Face::Completions, r#"{"model":"m","prompt":"x","echo":true}"#),
        (Face::Responses, r#"{"model":"m","input":"x"}"#),
        (Face::Messages, r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#),
    ]
    .map(|(face, body)| match parse_object(body.as_bytes()).and_then(|body| face.read(body)) {
        Ok((_, client)) => client,
        Err(error) => panic!("{error}"),
    })
}

/// Whatever was read is written as JSON, whole and as a stream, or is the provider's fault.
fn check_told(client: &Client, chunks: &[Chunk], answer: &Completion) {
    match client.whole(answer) {
        Ok(bytes) => assert!(serde_json::from_slice::<Map<String, Value>>(&bytes).is_ok(), "{client:?}"),
        Err(error) => assert_eq!(error.fault, Fault::UpstreamFailed, "{error}"),
    }
    let mut writer = client.writer().with_prompt_tokens(7);
    let mut out = Vec::new();
    let mut say = |said: Result<Bytes, Error>| match said {
        Ok(bytes) => {
            out.extend_from_slice(&bytes);
            true
        }
        Err(error) => {
            assert_eq!(error.fault, Fault::UpstreamFailed, "{error}");
            false
        }
    };
    let is_told = chunks.iter().all(|chunk| say(writer.chunk(chunk)));
    if !(is_told && say(writer.finish(answer, Value::Null))) {
        let broken = Error::new(Fault::UpstreamFailed, "upstream_malformed", "It broke off.");
        assert!(say(writer.broken(&broken)), "no end to a broken answer");
    }
    let (events, rest) = events([out.as_slice()], usize::MAX);
    assert_eq!(rest, Ok(false), "{client:?} was told half an event");
    for event in events.iter().filter(|event| event.data != "[DONE]") {
        assert!(serde_json::from_str::<Map<String, Value>>(&event.data).is_ok(), "{event:?}");
    }
}

/// What the events add, and whether that is whole.
fn chunks(wire: Wire, events: &[Event]) -> (Vec<Chunk>, Result<bool, Trouble>) {
    let mut reader = wire.reader(1);
    let mut chunks = VecDeque::new();
    for event in events {
        match reader.event(event, &mut chunks) {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => return (chunks.into(), Ok(true)),
            Err(trouble) => return (chunks.into(), Err(trouble)),
        }
    }
    (chunks.into(), Ok(reader.ended().is_ok()))
}
