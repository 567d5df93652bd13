//! Recorded streams of every dialect that are cut, reset or go silent at every byte, through whole calls.
//!
//! Time is simulated: thousands of silences take no time, and how long each was waited for is known to the tick.

use std::rc::Rc;
use std::time::Duration;

use api::sse::Decoder;
use api::{ChatRequest, Completion, Gather, Reply};
use dialects::Wire;
use http::{HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use turmoil::net::{TcpListener, TcpStream};

use super::Outcome;
use crate::{Proxies, Upstream, UpstreamOptions, Upstreams};

/// To the first event, and between events.
const PATIENCE: Duration = Duration::from_millis(40);
/// A call connects, sends and hears in a few ticks of 1 ms.
const TRAVEL: Duration = Duration::from_millis(20);
const AT_ONCE: usize = 64;
const TOLD: HeaderName = HeaderName::from_static("x-break");

/// What comes after the bytes that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Close,
    Reset,
    Silence,
}

const ENDS: [End; 3] = [End::Close, End::Reset, End::Silence];

// === the provider ===

async fn provide(recorded: Rc<[u8]>) -> Outcome {
    let listener = TcpListener::bind(("0.0.0.0", 80)).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        let recorded = Rc::clone(&recorded);
        tokio::task::spawn_local(async move {
            // The client may leave at any time.
            let _ = serve(socket, &recorded).await;
        });
    }
}

async fn serve(mut socket: TcpStream, recorded: &[u8]) -> Outcome {
    let mut head = Vec::new();
    // Byte by byte: a body that nobody has read makes a reset of what would be a close.
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let head = String::from_utf8(head)?;
    let told = head.split("x-break: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let (end, cut) = told.and_then(|told| told.split_once(' ')).ok_or("no break was asked for")?;
    let end = ENDS.into_iter().find(|one| format!("{one:?}") == end).ok_or("no such end")?;
    if end != End::Reset {
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let mut body = vec![0; length.ok_or("no length")?.parse()?];
        socket.read_exact(&mut body).await?;
    }
    let sent = &recorded[..cut.parse::<usize>()?];
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await?;
    if !sent.is_empty() {
        socket.write_all(&[format!("{:x}\r\n", sent.len()).as_bytes(), sent, b"\r\n"].concat()).await?;
    }
    if end == End::Silence {
        let mut rest = [0; 64];
        while socket.read(&mut rest).await? > 0 {}
    }
    Ok(())
}

// === the client ===

/// What one call came to.
struct Came {
    answer: Completion,
    code: Option<&'static str>,
    took: Duration,
}

fn asked() -> Result<ChatRequest, api::Error> {
    let body = br#"{"model":"m","messages":[{"role":"user","content":"q"}],"stream":true}"#;
    ChatRequest::from_body(api::parse_object(body)?)
}

async fn call(upstreams: &Upstreams, wire: Wire, end: End, cut: usize) -> Result<Came, api::Error> {
    let mut options = UpstreamOptions::new("provider", "http://provider/v1");
    options.allow_private_addresses = true;
    options.wire = wire;
    options.retries_max = 0;
    options.first_byte_timeout = PATIENCE;
    options.idle_timeout = PATIENCE;
    let upstream = Upstream::new(upstreams, options)?;
    let told = HeaderValue::try_from(format!("{end:?} {cut}")).map_err(api::Error::internal)?;
    let began = Instant::now();
    let deadline = (began + Duration::from_secs(60)).into_std();
    let mut gather = Gather::new();
    let mut code = None;
    match upstream.chat("m", &asked()?, deadline, &[(TOLD, told)]).await {
        Ok(answered) => {
            let Reply::Stream(mut chunks) = answered.reply else {
                return Err(api::Error::internal("a stream was asked for"));
            };
            while let Some(chunk) = std::future::poll_fn(|cx| chunks.as_mut().poll_next(cx)).await {
                match chunk {
                    Ok(chunk) => gather.push(&chunk),
                    Err(error) => code = Some(error.code),
                }
            }
        }
        Err(error) => code = Some(error.code),
    }
    let took = began.elapsed();
    if upstream.health().in_flight > 0 {
        return Err(api::Error::internal(format!("{end:?} at {cut} leaves a place taken")));
    }
    Ok(Came { answer: gather.finish(), code, took })
}

fn text(answer: &Completion) -> &str {
    answer.choices.first().and_then(|choice| choice.message.content.as_deref()).unwrap_or_default()
}

/// Whether what came is what had to come of `recorded`, cut at `cut`, of which all would be `whole`.
fn judge(
    wire: Wire,
    (end, cut): (End, usize),
    recorded: &[u8],
    whole: &Completion,
    came: &Came,
) -> Result<(), String> {
    let Came { answer, code, took } = came;
    let wrong = |what: &str| {
        let said = text(answer);
        Err(format!("{end:?} at {cut} of {}: {what}: {said:?}, {code:?}, {took:?}", recorded.len()))
    };
    // The last line breaks add nothing to an event that says that the answer is whole.
    let all = recorded[cut..].trim_ascii().is_empty();
    if !text(whole).starts_with(text(answer)) {
        return wrong("a text that the provider did not send");
    }
    // Gemini alone has no event that says so: its body must end in good order, which it never does here.
    let must = cut == recorded.len() && end != End::Reset && wire != Wire::Gemini;
    match code {
        Some(_) if must => wrong("not given as whole"),
        None if !all => wrong("given as whole"),
        None if answer != whole => wrong("whole, and not all of it"),
        None => Ok(()),
        Some(_) if *took > 2 * PATIENCE + TRAVEL => wrong("noticed late"),
        Some("upstream_stalled" | "upstream_timeout") if end == End::Silence && *took >= PATIENCE => Ok(()),
        Some("upstream_cut") if end != End::Silence => Ok(()),
        Some(_) => wrong("another failure"),
    }
}

/// What `recorded` comes to when nothing breaks.
fn unbroken(wire: Wire, recorded: &[u8]) -> Completion {
    let (mut events, mut chunks) = (Vec::new(), std::collections::VecDeque::new());
    Decoder::new(recorded.len()).push(recorded, &mut events).expect("a stream");
    let mut reader = wire.reader(1);
    for event in &events {
        reader.event(event, &mut chunks).expect("an event");
    }
    let mut gather = Gather::new();
    chunks.iter().for_each(|chunk| gather.push(chunk));
    gather.finish()
}

async fn call_all(wire: Wire, recorded: Rc<[u8]>, whole: Rc<Completion>) -> Outcome {
    let upstreams = Upstreams::with_proxies(Proxies::default());
    let breaks: Vec<(End, usize)> =
        ENDS.into_iter().flat_map(|end| (0..=recorded.len()).map(move |cut| (end, cut))).collect();
    for some in breaks.chunks(AT_ONCE) {
        let mut calls = tokio::task::JoinSet::new();
        for &(end, cut) in some {
            let (upstreams, recorded, whole) = (upstreams.clone(), Rc::clone(&recorded), Rc::clone(&whole));
            calls.spawn_local(async move {
                let came = call(&upstreams, wire, end, cut).await.map_err(|error| error.to_string())?;
                judge(wire, (end, cut), &recorded, &whole, &came)
            });
        }
        while let Some(ended) = calls.join_next().await {
            ended??;
        }
    }
    Ok(())
}

/// A recorded stream, broken in every way at every byte.
fn check(wire: Wire, recorded: &str) {
    let recorded: Rc<[u8]> = recorded.as_bytes().into();
    let whole = Rc::new(unbroken(wire, &recorded));
    assert!(text(&whole).len() > 3, "{wire:?} says something: {:?}", text(&whole));
    let mut sim = turmoil::Builder::new()
        .simulation_duration(Duration::from_secs(3_600))
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(1))
        .build();
    let provided = Rc::clone(&recorded);
    sim.host("provider", move || provide(Rc::clone(&provided)));
    sim.client("client", call_all(wire, recorded, whole));
    if let Err(wrong) = sim.run() {
        panic!("{wire:?}: {wrong}");
    }
}

#[test]
fn chat_is_never_whole_when_it_breaks_at_any_byte() {
    check(Wire::Chat, include_str!("../../../dialects/tests/golden/chat/text.sse"));
}

#[test]
fn messages_are_never_whole_when_they_break_at_any_byte() {
    check(Wire::Messages, include_str!("../../../dialects/tests/golden/messages/tools.sse"));
}

#[test]
fn gemini_is_never_whole_when_it_breaks_at_any_byte() {
    check(Wire::Gemini, include_str!("../../../dialects/tests/golden/gemini/text.sse"));
}

#[test]
fn responses_are_never_whole_when_they_break_at_any_byte() {
    check(Wire::Responses, include_str!("../../tests/recorded/responses.sse"));
}
