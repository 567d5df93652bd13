//! `pointsman serve`: from the files to a listening gateway, and its orderly end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::commands::{load_settings, say};
use crate::decider::Decider;
use crate::house::{Backend, House, in_words};
use crate::reload::Watch;
use crate::stores::Kept;
use crate::{Failure, admin, data, listener, stores};

/// Serves until SIGTERM or SIGINT.
pub(crate) fn serve(config: &Path) -> Result<(), Failure> {
    start_log();
    let settings = load_settings(config)?;
    let runtime = Runtime::new().map_err(|error| Failure::Unavailable(format!("no runtime: {error}")))?;
    // The ports are taken before anything is loaded: a second gateway on this host should fail at once.
    let (data_listener, admin_listener) = runtime.block_on(async {
        let data = listener::bind(settings.listen.data, "data").await;
        let admin = listener::bind(settings.listen.admin, "admin").await;
        match (data, admin) {
            (Ok(data), Ok(admin)) => Ok((data, admin)),
            (Err(error), _) | (_, Err(error)) => Err(Failure::Unavailable(in_words(&error))),
        }
    })?;
    let watch = Watch::begin(&settings);
    let decider = Decider::load(settings)?;
    let house = House::open(decider, CancellationToken::new()).map_err(Failure::Unavailable)?;
    runtime.block_on(run(Arc::new(house), watch, data_listener, admin_listener))
}

async fn run(
    house: Arc<House>,
    watch: Watch,
    data_listener: TcpListener,
    admin_listener: TcpListener,
) -> Result<(), Failure> {
    say(&banner(&house, &data_listener, &admin_listener));
    let no_signal = |error: std::io::Error| Failure::Unavailable(format!("no signal handler: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signal)?;
    let hangup = signal(SignalKind::hangup()).map_err(no_signal)?;
    house.decider.mend_stores();
    let following = stores::watch(&house.decider.stores);
    let learning = Arc::clone(&house);
    tokio::task::spawn_blocking(move || learning.decider.learn_what_is_new());
    let reloading = tokio::spawn(watch.run(Arc::clone(&house), hangup));
    let limits = &house.decider.settings.limits;
    let data_house = Arc::clone(&house);
    let admin_house = Arc::clone(&house);
    let stop_admin = CancellationToken::new();
    let serving = listener::serve(data_listener, limits, house.stop.clone(), move |request| {
        data::answer(Arc::clone(&data_house), request)
    });
    let watching = listener::serve(admin_listener, limits, stop_admin.clone(), move |request| {
        admin::answer(Arc::clone(&admin_house), request)
    });
    let stopping = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("draining: no new connections, what is under way is finished");
        house.stop.cancel();
    };
    // The admin port answers until the last request is settled: that is when an operator looks.
    let draining = async {
        tokio::join!(serving, stopping);
        house.relays.close();
        if tokio::time::timeout(limits.drain, house.relays.wait()).await.is_err() {
            tracing::warn!("streams were cut at the end of the drain");
        }
        stop_admin.cancel();
    };
    tokio::join!(draining, watching);
    reloading.abort();
    drop(following);
    let flushing = Arc::clone(&house);
    let flushed = tokio::task::spawn_blocking(move || {
        flushing.decisions.flush();
        if !flushing.clerk.flush(Duration::from_secs(10)) {
            tracing::warn!("the last labels of tasks may be lost");
        }
        flushing.book.flush(Duration::from_secs(10))
    })
    .await;
    match flushed {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::Unavailable(in_words(&error))),
        Err(error) => Err(Failure::Unavailable(format!("the book could not be flushed: {error}"))),
    }
}

/// To stderr; `RUST_LOG` decides what, `info` and above without it.
fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call in one process is refused; there is none.
    let _ = log.try_init();
}

fn banner(house: &House, data_listener: &TcpListener, admin_listener: &TcpListener) -> String {
    let address =
        |listener: &TcpListener| listener.local_addr().map_or_else(|_| "?".to_owned(), |at| at.to_string());
    let (data, admin) = (address(data_listener), address(admin_listener));
    let version = env!("CARGO_PKG_VERSION");
    let mut text =
        format!("\npointsman {version}\n  data   http://{data}/v1\n  admin  http://{admin}\n\nTracks\n");
    for line in tracks(house) {
        text.push_str(&format!("  {line}\n"));
    }
    text.push_str(&format!(
        "\nTry\n  \
         curl http://{data}/v1/chat/completions -H 'content-type: application/json' \\\n    \
         -d '{{\"model\":\"auto\",\"messages\":[{{\"role\":\"user\",\"content\":\"How do I reload the configuration of Pointsman?\"}}]}}'\n  \
         curl http://{data}/v1/route -H 'content-type: application/json' \\\n    \
         -d '{{\"model\":\"auto\",\"messages\":[{{\"role\":\"user\",\"content\":\"Prove that there are infinitely many primes.\"}}]}}'\n  \
         curl http://{admin}/metrics\n"
    ));
    text
}

/// One line a track: what is live, and what to set where it is not.
fn tracks(house: &House) -> Vec<String> {
    let live = house.decider.live.load();
    let backends = house.backends.load();
    let mut lines = Vec::new();
    let tasks: Vec<String> =
        house.decider.tasks.load().iter().map(|task| format!("task/{}", task.name)).collect();
    for track in [api::Track::Local, api::Track::External] {
        let mut ready: Vec<String> = if track == api::Track::Local { tasks.clone() } else { Vec::new() };
        let mut missing = Vec::new();
        for model in live.policies.catalogue().models().iter().filter(|model| model.track == track) {
            match backends.get(&*model.name).map(|backend| &**backend) {
                Some(Backend::Missing(why)) => missing.push(format!("{}: {why}", model.name)),
                _ => ready.push(model.name.to_string()),
            }
        }
        lines.push(track_line(track.name(), &ready, &missing));
        if track == api::Track::Local {
            lines.push(retrieval_line(house));
        }
    }
    lines
}

fn track_line(name: &str, ready: &[String], missing: &[String]) -> String {
    let state = if ready.is_empty() { "off " } else { "live" };
    let ready = if ready.is_empty() { String::new() } else { ready.join(", ") };
    let missing = if missing.is_empty() { String::new() } else { format!(" (not: {})", missing.join("; ")) };
    format!("{name:<10}{state}  {ready}{missing}")
}

fn retrieval_line(house: &House) -> String {
    let told = |kept: &Arc<Kept>| {
        let name = &kept.settings.name;
        match kept.store.stats() {
            Ok(stats) => format!("{name}: {} passages of {} documents", stats.passages, stats.documents),
            Err(error) => format!("{name}: {}", error.message),
        }
    };
    let (ready, missing): (Vec<_>, Vec<_>) = house.decider.stores.iter().partition(|kept| kept.is_ready());
    let lines = |stores: Vec<&Arc<Kept>>| stores.into_iter().map(told).collect::<Vec<_>>();
    track_line("retrieval", &lines(ready), &lines(missing))
}
