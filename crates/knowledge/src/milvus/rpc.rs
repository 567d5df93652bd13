//! Calls to a Milvus cluster from threads that may block.
//!
//! Owns the connection, its deadlines, the credentials and the second tries. The network is driven by one thread of its
//! own, so a call can be waited for on any thread, and several can be under way at once.

use std::str::FromStr;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use api::{Error, Fault, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use http::uri::PathAndQuery;
use tokio::runtime::{Builder, Runtime};
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use super::proto::{Answer, Call, Status};

/// The most that a request or an answer may weigh. Milvus takes 64 MiB by default.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long the server may be silent before it is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// The first pause before a write that the cluster had no capacity for is sent again; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// Statuses that tell a collection or an alias is not there: before and since 2.3.
const NOT_FOUND: [(i32, i32); 2] = [(4, 0), (0, 100)];
/// Statuses of a cluster that has more writes than it can take: before and since 2.3.
const BUSY: [(i32, i32); 2] = [(49, 0), (0, 8)];

/// A connection that is made when it is first needed, and again whenever it broke.
pub(super) struct Rpc {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    channel: Channel,
    authorization: Option<MetadataValue<Ascii>>,
    database: Option<MetadataValue<Ascii>>,
    deadline: Duration,
}

/// What a cluster said, or why it said nothing.
#[derive(Debug)]
pub(super) enum Refused {
    /// There is no such collection.
    NotFound(Error),
    /// It has more to write than it can take: come back.
    Busy(Error),
    /// Anything else.
    Failed(Error),
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotFound(error) | Refused::Busy(error) | Refused::Failed(error) => error,
        }
    }
}

/// A call that is under way.
pub(super) struct Pending<A>(Receiver<Result<A, Refused>>);

impl<A> Pending<A> {
    /// Waits for its end, which its deadline bounds.
    pub(super) fn wait(self) -> Result<A, Refused> {
        let gone = |_| Refused::Failed(Error::internal("the thread of the Milvus connection is gone"));
        self.0.recv().map_err(gone)?
    }
}

impl Rpc {
    /// Prepares a connection to `url` without making it.
    ///
    /// # Errors
    /// The URL, the token or the database's name cannot be used, or no thread can be started.
    pub(super) fn new(
        url: &str,
        token: Option<&Secret>,
        database: Option<&str>,
        connect_deadline: Duration,
        deadline: Duration,
    ) -> Result<Self, Error> {
        let mut endpoint = endpoint(url)?
            .connect_timeout(connect_deadline)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(connect_deadline)
            .keep_alive_while_idle(true);
        if endpoint.uri().scheme_str() == Some("https") {
            let tls = ClientTlsConfig::new().with_native_roots();
            endpoint = endpoint.tls_config(tls).map_err(|error| {
                Error::internal(format!("TLS for the Milvus connection: {}", told(&error)))
            })?;
        }
        let authorization = token.map(|token| authorization(token.expose())).transpose()?;
        let database = database.filter(|database| !database.is_empty());
        let database = database.map(|database| {
            let refused = |_| {
                Error::field("database", "The database's name must be of letters, digits and underscores.")
            };
            MetadataValue::from_str(database).map_err(refused)
        });
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("milvus").enable_all().build();
        let runtime = runtime.map_err(|error| Error::internal(format!("a thread for Milvus: {error}")))?;
        let channel = {
            let _inside = runtime.enter();
            endpoint.connect_lazy()
        };
        Ok(Self { runtime: Some(runtime), channel, authorization, database: database.transpose()?, deadline })
    }

    /// Sends a request and waits for its answer.
    pub(super) fn call<C: Call>(&self, request: C) -> Result<C::Answer, Refused> {
        self.start(request).wait()
    }

    /// Sends a request that may be sent twice, and sends it again for as long as the cluster has no capacity for it and
    /// the deadline has not passed.
    pub(super) fn insist<C: Call>(&self, request: &C) -> Result<C::Answer, Refused> {
        let started = Instant::now();
        let mut pause = PAUSE;
        loop {
            match self.call(request.clone()) {
                Err(Refused::Busy(_)) if started.elapsed() + pause < self.deadline => {
                    std::thread::sleep(pause);
                    pause *= 2;
                }
                ended => return ended,
            }
        }
    }

    /// Sends a request.
    pub(super) fn start<C: Call>(&self, request: C) -> Pending<C::Answer> {
        self.start_after(Duration::ZERO, request)
    }

    /// Sends a request after a while, unless the connection is given up before.
    pub(super) fn start_after<C: Call>(&self, pause: Duration, request: C) -> Pending<C::Answer> {
        let (sender, receiver) = sync_channel(1);
        let channel = self.channel.clone();
        let (authorization, database) = (self.authorization.clone(), self.database.clone());
        let deadline = self.deadline;
        let call = async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let mut tries = if C::READS { 2 } else { 1 };
            let ended = loop {
                let mut framed = Request::new(request.clone());
                framed.set_timeout(deadline);
                let headers = framed.metadata_mut();
                authorization.clone().map(|value| headers.insert("authorization", value));
                database.clone().map(|value| headers.insert("dbname", value));
                let sent = tokio::time::timeout(deadline, send::<C>(channel.clone(), framed)).await;
                tries -= 1;
                match sent {
                    Ok(Err(status)) if status.code() == Code::Unavailable && tries > 0 => {}
                    Ok(Err(status)) => break Err(Refused::Failed(transport(&status))),
                    Ok(Ok(answer)) => break checked::<C>(answer),
                    Err(_) => break Err(Refused::Failed(too_slow(C::PATH))),
                }
            };
            // Whoever waited for it may have gone.
            let _ = sender.send(ended);
        };
        if let Some(runtime) = &self.runtime {
            // The task ends at its deadline; nobody needs its handle.
            drop(runtime.spawn(call));
        }
        Pending(receiver)
    }

    /// How long a call may take.
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }
}

impl Drop for Rpc {
    fn drop(&mut self) {
        // Dropped on a thread of another runtime, it must not wait for its own.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn send<C: Call>(channel: Channel, request: Request<C>) -> Result<C::Answer, tonic::Status> {
    let mut grpc = Grpc::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    grpc.ready().await.map_err(|error| tonic::Status::unavailable(told(&error)))?;
    let path = PathAndQuery::from_static(C::PATH);
    let answer = grpc.unary(request, path, ProstCodec::<C, C::Answer>::default()).await?;
    Ok(answer.into_inner())
}

fn endpoint(url: &str) -> Result<Endpoint, Error> {
    let refused =
        |why: &str| Error::field("url", format!("`url` {why}: `http://HOST:19530` or `https://HOST:PORT`."));
    let uri: Uri = url.parse().map_err(|_| refused("is no URL"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(refused("must name a scheme and a host"));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(refused("must not hold credentials (they belong into `token`)"));
    }
    Ok(Endpoint::from(uri))
}

/// Milvus takes a key, or a name and a password joined by a colon, in base64.
fn authorization(token: &str) -> Result<MetadataValue<Ascii>, Error> {
    let mut value = MetadataValue::from_str(&STANDARD.encode(token))
        .map_err(|_| Error::field("token", "`token` cannot be sent."))?;
    value.set_sensitive(true);
    Ok(value)
}

fn checked<C: Call>(answer: C::Answer) -> Result<C::Answer, Refused> {
    let Some(Status { error_code, code, reason }) =
        answer.status().filter(|s| (s.error_code, s.code) != (0, 0))
    else {
        return Ok(answer);
    };
    let message = "The cluster that holds the index refused a request; the log has what it said.";
    let detail = format!("Milvus {}: {reason} (code {code}, {error_code})", C::PATH);
    let error = Error::new(Fault::UpstreamFailed, "store_refused", message).with_detail(detail);
    let is = |known: &[(i32, i32)]| {
        known.iter().any(|(old, new)| (*old != 0 && error_code == old) || (*new != 0 && code == new))
    };
    Err(if is(&NOT_FOUND) {
        Refused::NotFound(error)
    } else if is(&BUSY) {
        Refused::Busy(error)
    } else {
        Refused::Failed(error)
    })
}

fn transport(status: &tonic::Status) -> Error {
    let (fault, code, message) = match status.code() {
        Code::DeadlineExceeded | Code::Cancelled => return too_slow(&told(status)),
        Code::Unauthenticated | Code::PermissionDenied => (
            Fault::UpstreamFailed,
            "store_forbidden",
            "The cluster that holds the index does not let this gateway in: check its token.",
        ),
        _ => (
            Fault::Unavailable,
            "store_unreachable",
            "The cluster that holds the index cannot be reached; the log says why.",
        ),
    };
    Error::new(fault, code, message).with_detail(format!("Milvus: {}", told(status))).retryable()
}

fn too_slow(what: &str) -> Error {
    let message = "The cluster that holds the index did not answer in time.";
    Error::new(Fault::UpstreamTimeout, "store_timeout", message)
        .with_detail(format!("Milvus: {what}"))
        .retryable()
}

/// An error with what it came from.
fn told(error: &dyn std::error::Error) -> String {
    let mut all = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        all.push_str(": ");
        all.push_str(&source.to_string());
        next = source.source();
    }
    all
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::milvus::proto::ShowCollections;

    fn rpc(url: &str) -> Result<Rpc, Error> {
        let deadline = Duration::from_millis(300);
        Rpc::new(url, Some(&Secret::new("root:Milvus")), Some("docs"), deadline, deadline)
    }

    #[test]
    fn a_url_that_is_none_is_refused() {
        let check = |url: &str, what: &str| {
            let refused = rpc(url).err().unwrap();
            assert_eq!(refused.param.as_deref(), Some("url"));
            assert!(refused.message.contains(what), "{refused}");
        };
        check("", "is no URL");
        check("localhost:19530", "a scheme and a host");
        check("ftp://localhost", "a scheme and a host");
        check("http://user:secret@localhost:1", "credentials");
        for url in ["http://localhost:19530", "https://cluster.example:443/"] {
            assert!(rpc(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn credentials_are_sent_and_never_shown() {
        let value = authorization("root:Milvus").unwrap();
        assert_eq!(value.to_str().unwrap(), "cm9vdDpNaWx2dXM=");
        assert_eq!(format!("{value:?}"), "Sensitive");
    }

    #[test]
    fn a_cluster_that_is_gone_or_silent_is_told_in_time() {
        let check = |url: &str, codes: &[&str]| {
            let started = Instant::now();
            let failed = Error::from(rpc(url).unwrap().call(ShowCollections {}).unwrap_err());
            assert!(codes.contains(&failed.code) && failed.retry_safe, "{failed}");
            assert!(started.elapsed() < Duration::from_secs(2));
        };
        // It takes connections into its queue and never says a word.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        check(&format!("http://{}", silent.local_addr().unwrap()), &["store_timeout", "store_unreachable"]);
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        check(&format!("http://{gone}"), &["store_unreachable"]);
    }

    #[test]
    fn a_connection_may_be_dropped_anywhere() {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { drop(rpc("http://127.0.0.1:1").unwrap()) });
    }

    #[test]
    fn what_a_cluster_refuses_is_told_apart() {
        let check = |error_code, code, expected: &str| {
            let status = Status { error_code, code, reason: String::from("why") };
            let found = match checked::<crate::milvus::proto::DropCollection>(status) {
                Ok(_) => "fine",
                Err(Refused::NotFound(_)) => "not found",
                Err(Refused::Busy(_)) => "busy",
                Err(Refused::Failed(_)) => "failed",
            };
            assert_eq!(found, expected, "{error_code} {code}");
        };
        check(0, 0, "fine");
        check(4, 100, "not found");
        check(0, 100, "not found");
        check(49, 8, "busy");
        check(1, 1100, "failed");
    }
}
