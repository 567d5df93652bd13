//! Connecting: addresses, certificates, versions of HTTP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use models::{HttpVersion, Upstream, UpstreamOptions, Upstreams};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;

use crate::provider::{COMPLETION, Provider, good};
use crate::{chat, failed, request};

fn certificate(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/calls/certificates").join(file)
}

/// A server with TLS on `localhost` that answers with a completion whose model is the version of HTTP spoken.
async fn tls_server() -> u16 {
    let chain =
        CertificateDer::pem_file_iter(certificate("server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certificate("server-key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(socket).await else { return };
                let served = auto::Builder::new(TokioExecutor::new());
                let _ = served.serve_connection(TokioIo::new(stream), service_fn(tell_version)).await;
            });
        }
    });
    port
}

async fn tell_version(request: Request<Incoming>) -> Result<Response<String>, std::convert::Infallible> {
    let version = if request.version() == Version::HTTP_2 { "h2" } else { "h1" };
    Ok(Response::new(COMPLETION.replace("m-1", version)))
}

fn tls_options(port: u16) -> UpstreamOptions {
    let mut options = UpstreamOptions::new("test", format!("https://localhost:{port}/v1"));
    options.allow_private_addresses = true;
    options.ca_file = Some(certificate("ca.pem"));
    options.retries_max = 0;
    options
}

async fn check_version(port: u16, http_version: HttpVersion, expected: &str) {
    let upstream =
        Upstream::new(&Upstreams::new(), UpstreamOptions { http_version, ..tls_options(port) }).unwrap();
    let api::Reply::Whole(completion) = chat(&upstream, &request("")).await.unwrap().reply else {
        panic!("a whole answer was asked for")
    };
    assert_eq!(completion.model, expected, "{http_version:?}");
}

#[tokio::test]
async fn the_version_of_http_is_agreed_under_tls() {
    let port = tls_server().await;
    check_version(port, HttpVersion::Auto, "h2").await;
    check_version(port, HttpVersion::Http1, "h1").await;
    check_version(port, HttpVersion::Http2, "h2").await;
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused() {
    let port = tls_server().await;
    // Trusts only the server's own leaf, which is no authority.
    let ca_file = Some(certificate("server.pem"));
    let upstream =
        Upstream::new(&Upstreams::new(), UpstreamOptions { ca_file, ..tls_options(port) }).unwrap();
    let error = failed(&upstream, &request("")).await;
    assert_eq!((error.fault.status(), error.code, error.retry_safe), (502, "upstream_unreachable", true));
    assert!(error.detail.unwrap().to_lowercase().contains("certificate"));
}

#[tokio::test]
async fn a_private_address_behind_a_name_is_refused_before_connecting() {
    let provider = Provider::start([good()]).await;
    let options = UpstreamOptions { allow_private_addresses: false, ..tls_options(provider.port()) };
    let upstream = Upstream::new(&Upstreams::new(), options).unwrap();
    let error = failed(&upstream, &request("")).await;
    assert_eq!((error.fault.status(), error.code), (502, "upstream_address_refused"));
    assert!(!error.message.contains("127.0.0.1") && !error.message.contains("localhost"), "{error}");
    assert!(error.detail.unwrap().contains("`allow_private_addresses` is not set"));
    assert_eq!(provider.connections(), 0);
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_unreachable() {
    // Bound and not listening: nobody else can be given this port meanwhile.
    let held = TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = held.local_addr().unwrap().port();
    let plain = Provider::start([good()]).await;
    let [refusing, not_tls, unknown] = [
        tls_options(closed),
        tls_options(plain.port()),
        UpstreamOptions { base_url: "https://no-such-name.invalid/v1".into(), ..tls_options(closed) },
    ];
    for mut options in [refusing, not_tls, unknown] {
        options.connect_timeout = Duration::from_millis(500);
        let upstream = Upstream::new(&Upstreams::new(), options).unwrap();
        let error = failed(&upstream, &request("")).await;
        assert_eq!((error.code, error.retry_safe), ("upstream_unreachable", true), "{error}");
    }
}

#[tokio::test]
async fn http2_without_tls_is_spoken_by_prior_knowledge() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let served = auto::Builder::new(TokioExecutor::new());
            let _ = served.serve_connection(TokioIo::new(socket), service_fn(tell_version)).await;
        }
    });
    let mut options = UpstreamOptions::new("test", format!("http://127.0.0.1:{port}"));
    options.allow_private_addresses = true;
    options.http_version = HttpVersion::Http2;
    let upstream = Upstream::new(&Upstreams::new(), options).unwrap();
    let api::Reply::Whole(completion) = chat(&upstream, &request("")).await.unwrap().reply else {
        panic!("a whole answer was asked for")
    };
    assert_eq!(completion.model, "h2");
}

#[tokio::test]
async fn wrong_certificate_files_are_named() {
    for file in ["no-such-file.pem", "README.md", "server-key.pem"] {
        let ca_file = Some(certificate(file));
        let error =
            Upstream::new(&Upstreams::new(), UpstreamOptions { ca_file, ..tls_options(1) }).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("ca_file"), "{error}");
    }
}
