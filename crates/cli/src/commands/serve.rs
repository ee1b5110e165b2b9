//! `levee serve`: a broker, until it is told to stop.

use super::Outcome;
use crate::options::{LogFormat, Options, ServeArgs};
use levee_base::{Clock, NodeId, Random};
use levee_broker::coordinators::CoordinatorConfig;
use levee_broker::led_topics::Intervals;
use levee_broker::node::{DiskCacheConfig, Node, NodeOptions, ReadConfig, Shutdown, StartError, WalConfig};
use std::error::Error;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

const MIB: usize = 1024 * 1024;

/// Runs a broker.
pub fn run(args: ServeArgs) -> Outcome {
    let options = args.options()?;
    start_logging(&options)?;
    let node = node_options(&options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    run_on(runtime, serve(node))
}

/// Runs `main` to its end, and waits for nothing else. Whatever is worth waiting for `main` has waited for; a thread
/// that hangs in a system call, on a disk that does not answer, would keep the process for as long as that.
fn run_on<T>(runtime: Runtime, main: impl Future<Output = T>) -> T {
    let result = runtime.block_on(main);
    runtime.shutdown_background();
    result
}

async fn serve(options: NodeOptions) -> Outcome {
    let began = Clock::system().now();
    let stop = watch::Sender::new(false);
    let (mut terminated, mut interrupted) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let asked = stop.clone();
    let signals = tokio::spawn(async move {
        tokio::select! {
            biased;
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        tracing::info!(
            "stopping: answers leave, and what is pending becomes durable; once more to stop at once"
        );
        asked.send_replace(true);
        tokio::select! {
            biased;
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    });
    let started = Node::start(options, Clock::system(), Random::from_entropy(), stop.clone()).await;
    let node = match started {
        Ok(node) => node,
        Err(StartError::Stopped) => return Ok(ExitCode::SUCCESS),
        Err(error) => return Err(error.into()),
    };
    let ready_ms = (Clock::system().now() - began).as_millis();
    tracing::info!(
        ready_ms,
        "listening on {} for Kafka clients; everything is kept in {}",
        node.address,
        node.location
    );
    let mut stopping = stop.subscribe();
    // An error is a sender that is gone, and `stop` is here.
    let _ = stopping.wait_for(|stopping| *stopping).await;
    tokio::select! {
        biased;
        how = node.shutdown() => match how {
            Shutdown::InOrder => {
                tracing::info!("stopped");
                Ok(ExitCode::SUCCESS)
            }
            Shutdown::AtOnce => Ok(at_once()),
        },
        _ = signals => Ok(at_once()),
    }
}

fn at_once() -> ExitCode {
    tracing::warn!("stopped at once; the next start will recover");
    ExitCode::FAILURE
}

fn start_logging(options: &Options) -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_new(&options.log_level)
        .map_err(|e| format!("--log-level {:?} is not a log filter: {e}", options.log_level))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match options.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

/// The host and the port that an option gives, or nothing when it is empty.
fn host_and_port(option: &str, text: &str) -> Result<Option<(String, u16)>, Box<dyn Error>> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let (host, port) = parsed
        .filter(|(host, _)| !host.is_empty())
        .ok_or_else(|| format!("--{option} {text:?} is not HOST:PORT, as in broker.example.com:9092"))?;
    Ok(Some((host.trim_matches(['[', ']']).to_owned(), port)))
}

fn node_options(options: &Options) -> Result<NodeOptions, Box<dyn Error>> {
    let advertise = host_and_port("advertise", &options.advertise)?;
    host_and_port("internal", &options.internal)?;
    let rate = |value: u32| Some(u64::from(value)).filter(|value| *value > 0);
    let given = |value: u32| usize::try_from(value).ok().filter(|value| *value > 0);
    Ok(NodeOptions {
        store: options.store.clone(),
        listen: options.listen.clone(),
        advertise,
        http: Some(options.http.clone()).filter(|address| !address.is_empty()),
        internal: Some(options.internal.clone()).filter(|address| !address.is_empty()),
        session_timeout: Duration::from_millis(options.session_timeout_ms),
        node: NodeId(options.node_id),
        auto_create_topics: options.auto_create_topics,
        num_partitions: options.num_partitions,
        intervals: Intervals {
            retention: Duration::from_millis(options.retention_check_interval_ms),
            cleaner: Duration::from_millis(options.cleaner_backoff_ms),
            ..Intervals::default()
        },
        coordinators: CoordinatorConfig {
            group_initial_rebalance_delay: Duration::from_millis(options.group_initial_rebalance_delay_ms),
            offsets_retention: Duration::from_mins(options.offsets_retention_minutes),
            transaction_max_timeout: Duration::from_millis(options.transaction_max_timeout_ms),
        },
        wal: WalConfig {
            pace: (options.wal_pace_us > 0).then(|| Duration::from_micros(options.wal_pace_us)),
            in_flight: given(options.wal_in_flight),
            untrimmed_bytes: given(options.wal_untrimmed_mib).map(|mib| mib * MIB),
            untrimmed_objects: given(options.wal_untrimmed_objects),
            buffer_bytes: given(options.wal_buffer_mib).map(|mib| mib * MIB),
            upload_after: Some(Duration::from_millis(options.wal_upload_after_ms)),
            compaction_bytes_per_second: rate(options.compaction_mib_per_second).map(|mib| mib * MIB as u64),
        },
        reads: ReadConfig {
            cache_bytes: Some(options.block_cache_mib as usize * MIB),
            ahead_bytes: Some(options.read_ahead_mib as usize * MIB),
            bytes_per_second: rate(options.catch_up_mib_per_second).map(|mib| mib * MIB as u64),
            requests_per_second: rate(options.catch_up_requests_per_second),
        },
        disk_cache: Some(PathBuf::from(&options.disk_cache))
            .filter(|path| !path.as_os_str().is_empty())
            .map(|path| DiskCacheConfig { path, bytes: u64::from(options.disk_cache_mib) * MIB as u64 }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_thread_that_hangs_does_not_keep_the_process() {
        let (answer, stalled) = mpsc::channel::<()>();
        let (done, ended) = mpsc::channel();
        let process = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
            let (began, begun) = tokio::sync::oneshot::channel();
            let main = async {
                tokio::task::spawn_blocking(move || {
                    began.send(()).unwrap();
                    // An error is the end of the test.
                    let _ = stalled.recv();
                });
                begun.await.unwrap();
                7
            };
            done.send(run_on(runtime, main)).unwrap();
        });
        assert_eq!(ended.recv_timeout(Duration::from_secs(60)), Ok(7), "it waits for the thread that hangs");
        drop(answer);
        process.join().unwrap();
    }
}
