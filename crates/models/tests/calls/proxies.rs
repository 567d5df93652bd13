//! Upstreams behind the operator's proxy.

use std::sync::{Arc, Mutex};

use models::{Proxies, Upstream, UpstreamOptions, Upstreams};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::provider::{Provider, good};
use crate::{chat, failed, request};

/// A proxy that tunnels every target to `port` here, or says no. Gives its own port, and the heads of what it was asked.
async fn proxy(port: u16, answer: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.unwrap());
            }
            seen.lock().unwrap().push(String::from_utf8(head).unwrap());
            client.write_all(answer.as_bytes()).await.unwrap();
            if answer.contains(" 200 ") {
                let mut target = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(async move { copy_bidirectional(&mut client, &mut target).await });
            }
        }
    });
    (own, log)
}

const YES: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

fn upstream(proxies: Proxies, base_url: &str) -> Upstream {
    let mut options = UpstreamOptions::new("test", base_url);
    options.allow_private_addresses = true;
    options.retries_max = 0;
    Upstream::new(&Upstreams::with_proxies(proxies), options).unwrap()
}

#[tokio::test]
async fn a_target_is_reached_through_a_tunnel_with_a_password() {
    let provider = Provider::start([good()]).await;
    let (port, log) = proxy(provider.port(), YES).await;
    let http = format!("http://user:p%40ss@127.0.0.1:{port}");
    let upstream = upstream(Proxies { http, ..Proxies::default() }, "http://no-such-name.invalid/v1");
    chat(&upstream, &request("")).await.unwrap();
    chat(&upstream, &request("")).await.unwrap();
    let asked = log.lock().unwrap().clone();
    assert_eq!(asked.len(), 1, "the tunnel is kept");
    assert!(asked[0].starts_with("CONNECT no-such-name.invalid:80 HTTP/1.1\r\n"), "{}", asked[0]);
    let head = asked[0].to_lowercase();
    assert!(head.contains("proxy-authorization: basic dxnlcjpwqhnz\r\n"), "{head}");
    let seen = provider.log();
    assert_eq!(seen.len(), 2);
    assert!(seen[0].head.contains("host: no-such-name.invalid\r\n") && !seen[0].head.contains("proxy-"));
}

#[tokio::test]
async fn hosts_without_a_proxy_are_reached_directly() {
    let provider = Provider::start([good()]).await;
    let (port, log) = proxy(provider.port(), YES).await;
    let proxies = Proxies {
        all: format!("127.0.0.1:{port}"),
        none: "localhost, 127.0.0.0/8".to_owned(),
        ..Proxies::default()
    };
    chat(&upstream(proxies, &provider.base_url()), &request("")).await.unwrap();
    assert!(log.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_proxy_that_refuses_makes_the_target_unreachable() {
    let (port, _) = proxy(1, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    let http = format!("http://user:hunter2-hunter2@127.0.0.1:{port}");
    let upstream = upstream(Proxies { http, ..Proxies::default() }, "http://a.invalid/v1");
    let error = failed(&upstream, &request("")).await;
    assert_eq!(error.code, "upstream_unreachable");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[test]
fn a_private_address_is_refused_behind_a_proxy_too() {
    let proxies = Proxies { all: "http://127.0.0.1:1".to_owned(), ..Proxies::default() };
    let options = UpstreamOptions::new("test", "https://10.0.0.1/v1");
    let error = Upstream::new(&Upstreams::with_proxies(proxies), options).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("base_url"));
}

#[test]
fn a_proxy_of_another_kind_is_refused_by_name() {
    let proxies = Proxies { all: "socks5://user:hunter2@127.0.0.1:1".to_owned(), ..Proxies::default() };
    let mut options = UpstreamOptions::new("test", "http://a.example/v1");
    options.allow_private_addresses = true;
    let error = Upstream::new(&Upstreams::with_proxies(proxies), options).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("ALL_PROXY"));
    assert!(!error.message.contains("hunter2"));
}
