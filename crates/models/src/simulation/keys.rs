//! A key that a provider refuses, among several: its endpoint is left out, and comes back.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use api::ChatRequest;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};
use turmoil::net::{TcpListener, TcpStream};

use super::{Outcome, read_request, upstream};

const HOSTS: [&str; 2] = ["refusing", "fine"];
/// From then on the key is taken.
const MENDED: Duration = Duration::from_secs(12);
const ENDS: Duration = Duration::from_secs(40);
/// How long it is left out for the first time; twice as long for the second.
const LEFT_OUT: Duration = Duration::from_secs(5);
/// Calls come every 50 ms, and one of the next goes to it.
const SOON: Duration = Duration::from_secs(1);

/// When each host was asked.
type Asked = Rc<RefCell<[Vec<Duration>; 2]>>;

async fn provide(asked: Asked, place: usize, refusal: &'static str) -> Outcome {
    let listener = TcpListener::bind(("0.0.0.0", 80)).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        let asked = Rc::clone(&asked);
        tokio::task::spawn_local(async move {
            // The client closes what it no longer needs.
            let _ = serve(socket, &asked, place, refusal).await;
        });
    }
}

async fn serve(mut socket: TcpStream, asked: &Asked, place: usize, refusal: &str) -> Outcome {
    let mut unread = Vec::new();
    loop {
        read_request(&mut socket, &mut unread).await?;
        let now = turmoil::sim_elapsed().unwrap_or_default();
        asked.borrow_mut()[place].push(now);
        let (status, body) = match place == 0 && now < MENDED {
            true => (refusal, r#"{"error":{"message":"no"}}"#),
            false => ("200 OK", r#"{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}"#),
        };
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
        socket.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await?;
    }
}

async fn call_all() -> Outcome {
    let upstream = upstream("pool", &HOSTS, 1)?;
    let body = br#"{"model":"m","messages":[{"role":"user","content":"q"}]}"#;
    let request = ChatRequest::from_body(api::parse_object(body)?)?;
    while turmoil::elapsed() < ENDS {
        let deadline = Instant::now() + Duration::from_secs(5);
        upstream.chat("m", &request, deadline.into_std(), &[]).await?;
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// An endpoint that answers with the status `refusal` until it is mended.
fn check(refusal: &'static str) {
    let asked = Asked::default();
    let mut sim = turmoil::Builder::new()
        .rng_seed(1)
        .simulation_duration(ENDS + Duration::from_secs(10))
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(1))
        .build();
    for (place, name) in HOSTS.into_iter().enumerate() {
        let shared = Rc::clone(&asked);
        sim.host(name, move || provide(Rc::clone(&shared), place, refusal));
    }
    sim.client("client", call_all());
    if let Err(error) = sim.run() {
        panic!("a call failed: {error}");
    }
    let asked = asked.borrow();
    let [first, second, third, ..] = asked[0][..] else { panic!("it never came back: {:?}", asked[0]) };
    assert!(first < SOON, "{first:?}");
    for (left, back, away) in [(first, second, LEFT_OUT), (second, third, 2 * LEFT_OUT)] {
        let gone = back.checked_sub(left).unwrap_or_default();
        assert!((away..away + SOON).contains(&gone), "{refusal}: asked again after {gone:?}, not {away:?}");
    }
    assert!(third > MENDED, "the third time it is mended");
    let late = |place: usize| asked[place].iter().filter(|at| **at > third).count();
    assert!(late(0) > 50 && late(1) > 50, "both serve again: {} and {}", late(0), late(1));
}

#[test]
fn an_endpoint_whose_key_is_refused_is_left_out_and_comes_back() {
    check("401 Unauthorized");
    check("403 Forbidden");
}
