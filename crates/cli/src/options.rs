//! The options of `levee serve`: the command line wins over the environment, which wins over the file,
//! which wins over the defaults. `docs/options.md` and `docs/levee.toml` are made from this file.

#[cfg(test)]
use clap::CommandFactory;
use clap::{Args, ValueEnum};
use serde::Deserialize;
use std::error::Error;
#[cfg(test)]
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

macro_rules! options {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $env:literal, $value:literal, $default:expr $(, $parser:expr)?;)+) => {
        /// What can be given on the command line, by environment and by file. Nothing here has a default, so
        /// that it is known what was given.
        #[derive(Debug, Default, Clone, Args, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct Given {
            $(
                $(#[doc = $doc])+
                #[arg(long, env = $env, value_name = $value $(, value_parser = $parser)?)]
                pub $name: Option<$type>,
            )+
        }

        /// Every option with its value.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Options {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Given {
            /// What `self` gives, and where it gives nothing what `other` gives.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                Self { $($name: self.$name.or(other.$name),)+ }
            }

            /// Fills in the defaults.
            #[must_use]
            pub fn or_default(self) -> Options {
                Options { $($name: self.$name.unwrap_or_else(|| $default),)+ }
            }
        }

        #[cfg(test)]
        impl Options {
            /// Each option's name and default, as the file would have it, in the order of their definition.
            fn defaults() -> Vec<(&'static str, String)> {
                let defaults = Given::default().or_default();
                vec![$((stringify!($name), toml_value(&format!("{:?}", defaults.$name)))),+]
            }
        }
    };
}

/// `Debug` of the types used here is TOML already, but for enums.
#[cfg(test)]
fn toml_value(debug: &str) -> String {
    match debug {
        "Text" => "\"text\"".to_owned(),
        "None" => "\"\"".to_owned(),
        other => other.to_owned(),
    }
}

options! {
    /// Where everything is kept: `s3://BUCKET/PREFIX`, `gs://…`, `az://…`, `file:///…`, `memory://` (gone when
    /// the broker stops), or a path. Credentials come from the provider's own environment variables.
    store: String = "LEVEE_STORE", "URL", "./levee-data".to_owned();
    /// The address to listen on for Kafka clients. A wildcard address needs `--advertise`.
    listen: String = "LEVEE_LISTEN", "ADDR", "127.0.0.1:9092".to_owned();
    /// The address that clients are told to connect to; empty means the one that `--listen` got.
    advertise: String = "LEVEE_ADVERTISE", "HOST:PORT", String::new();
    /// The address of the HTTP endpoint with /metrics and /health; empty turns it off. On a bucket it should be
    /// one that other machines reach: a broker that finds its node id taken asks there whether the holder is alive.
    http: String = "LEVEE_HTTP", "ADDR", "127.0.0.1:9644".to_owned();
    /// The address at which other brokers reach this one's HTTP endpoint; empty means the host of `--advertise`
    /// and the port of `--http`. Each broker needs one of its own.
    internal: String = "LEVEE_INTERNAL", "HOST:PORT", String::new();
    /// This broker's number. Two brokers of a cluster must not share one.
    node_id: u32 = "LEVEE_NODE_ID", "N", 1;
    /// How long the last holder of this node id may be silent before its place is taken, in milliseconds
    /// (Kafka's broker.session.timeout.ms). A holder that answers keeps its place, one whose port is closed loses
    /// it at once. A folder's lock tells without asking.
    session_timeout_ms: u64 = "LEVEE_SESSION_TIMEOUT_MS", "N", 9_000, clap::value_parser!(u64).range(1_000..=600_000);
    /// Whether producing to or asking for an unknown topic creates it (Kafka's auto.create.topics.enable).
    auto_create_topics: bool = "LEVEE_AUTO_CREATE_TOPICS", "BOOL", true;
    /// Partitions of a topic that is created without saying how many (Kafka's num.partitions).
    num_partitions: u32 = "LEVEE_NUM_PARTITIONS", "N", 1, clap::value_parser!(u32).range(1..=10_000);
    /// How often records that have expired by retention.ms and retention.bytes are removed, in milliseconds (Kafka's
    /// log.retention.check.interval.ms).
    retention_check_interval_ms: u64 = "LEVEE_RETENTION_CHECK_INTERVAL_MS", "N", 300_000, clap::value_parser!(u64).range(100..=86_400_000);
    /// How often keyed compaction looks for something to do, in milliseconds (Kafka's log.cleaner.backoff.ms).
    cleaner_backoff_ms: u64 = "LEVEE_CLEANER_BACKOFF_MS", "N", 15_000, clap::value_parser!(u64).range(100..=86_400_000);
    /// How long the first rebalance of an empty consumer group waits for further members, in milliseconds (Kafka's
    /// group.initial.rebalance.delay.ms). Shorter has a lone consumer begin sooner, and large groups rebalance more often
    /// when they start.
    group_initial_rebalance_delay_ms: u64 = "LEVEE_GROUP_INITIAL_REBALANCE_DELAY_MS", "N", 3_000, clap::value_parser!(u64).range(0..=300_000);
    /// How long committed offsets are kept once their group is empty or no longer subscribes to their topic, in minutes
    /// (Kafka's offsets.retention.minutes).
    offsets_retention_minutes: u64 = "LEVEE_OFFSETS_RETENTION_MINUTES", "N", 10_080, clap::value_parser!(u64).range(1..=5_256_000);
    /// The longest time-out that a producer may give its transactions, in milliseconds (Kafka's
    /// transaction.max.timeout.ms). For so long a producer that is gone may hold back those who read only what is committed.
    transaction_max_timeout_ms: u64 = "LEVEE_TRANSACTION_MAX_TIMEOUT_MS", "N", 900_000, clap::value_parser!(u64).range(1_000..=2_147_483_647);
    /// The least time between two flushes, in microseconds; 0 means 100,000, and on a folder 2,500, or none for an
    /// object of 16 KiB at most while nothing is being written and uploads keep up.
    /// Each flush is one PUT: 100 ms is at most 10 a second, about $130 a month at $5 a million for a broker
    /// that never idles. Half of it doubles the bill and takes half of it off the latency.
    wal_pace_us: u64 = "LEVEE_WAL_PACE_US", "N", 0;
    /// Flushes in flight at once, at most 16; 0 means 2 on a folder and 4 elsewhere.
    wal_in_flight: u32 = "LEVEE_WAL_IN_FLIGHT", "N", 0, clap::value_parser!(u32).range(0..=16);
    /// How much write-ahead log may wait to be registered, in MiB; producers are slowed at the limit. A restart
    /// reads the indexes of what waits.
    wal_untrimmed_mib: u32 = "LEVEE_WAL_UNTRIMMED_MIB", "N", 256, clap::value_parser!(u32).range(64..=2_048);
    /// How many write-ahead log objects may wait to be registered.
    wal_untrimmed_objects: u32 = "LEVEE_WAL_UNTRIMMED_OBJECTS", "N", 2_048, clap::value_parser!(u32).range(64..=65_536);
    /// For how long write-ahead log may wait to be registered, in milliseconds, however little of it there is. Shorter is
    /// sooner for keyed compaction and retention by size, and more requests for partitions that get little.
    wal_upload_after_ms: u64 = "LEVEE_WAL_UPLOAD_AFTER_MS", "N", 600_000, clap::value_parser!(u64).range(1_000..=86_400_000);
    /// What compaction may move, in MiB a second, reads and writes each.
    compaction_mib_per_second: u32 = "LEVEE_COMPACTION_MIB_PER_SECOND", "N", 128, clap::value_parser!(u32).range(1..=65_536);
    /// Memory for records that are not registered yet and for consumers near the end, in MiB. More than
    /// wal-untrimmed-mib, or producers are slowed before that limit.
    wal_buffer_mib: u32 = "LEVEE_WAL_BUFFER_MIB", "N", 512, clap::value_parser!(u32).range(64..=262_144);
    /// Memory for blocks of objects that consumers read again, in MiB: those far behind, and all after a restart.
    block_cache_mib: u32 = "LEVEE_BLOCK_CACHE_MIB", "N", 256, clap::value_parser!(u32).range(0..=1_048_576);
    /// A directory on a local disk for blocks that `block-cache-mib` has no room for; empty is none. It holds nothing that
    /// can't be lost, and is empty again after a restart. What consumers far behind pass through is written there once, so
    /// give it a disk that nothing else depends on.
    disk_cache: String = "LEVEE_DISK_CACHE", "PATH", String::new();
    /// What the disk cache takes there, from the start, in MiB; and about 0.2 MiB of memory for each GiB.
    disk_cache_mib: u32 = "LEVEE_DISK_CACHE_MIB", "N", 16_384, clap::value_parser!(u32).range(64..=1_048_576);
    /// How far ahead of a consumer that is not near the end is read at most, in MiB; 0 is not at all. All consumers
    /// together have 128 MiB.
    read_ahead_mib: u32 = "LEVEE_READ_AHEAD_MIB", "N", 16, clap::value_parser!(u32).range(0..=64);
    /// What consumers that are far behind may read from the store together, in MiB a second; 0 is as much as they
    /// want. Those near the end are not counted and never wait for them.
    catch_up_mib_per_second: u32 = "LEVEE_CATCH_UP_MIB_PER_SECOND", "N", 0;
    /// The same in requests a second, each of which costs money on a bucket: about $0.40 a million on S3. One is for
    /// up to 4 MiB.
    catch_up_requests_per_second: u32 = "LEVEE_CATCH_UP_REQUESTS_PER_SECOND", "N", 0;
    /// What is logged: error, warn, info, debug, trace, or a filter such as `info,levee_store=debug`.
    log_level: String = "LEVEE_LOG_LEVEL", "FILTER", "info".to_owned();
    /// How log lines, which go to stderr, are written.
    log_format: LogFormat = "LEVEE_LOG_FORMAT", "FORMAT", LogFormat::Text;
}

/// The command line of `levee serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each option can be given on the command line, as an environment variable and in the file that --config names;
the first of these that gives it wins. A file that names an unknown option is refused.

Examples:
  levee serve
  levee serve --store /var/lib/levee --listen 0.0.0.0:9092 --advertise broker.example.com:9092
  AWS_REGION=eu-central-1 levee serve --store s3://my-bucket/levee --node-id 2
  levee serve --config /etc/levee.toml")]
pub struct ServeArgs {
    /// A TOML file with options, named as here without the dashes: `node-id = 2`.
    #[arg(long, env = "LEVEE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub given: Given,
}

impl ServeArgs {
    /// The options with everything that gives them taken together.
    ///
    /// # Errors
    /// When the file can't be read, or names an option that doesn't exist, or gives one a wrong value.
    pub fn options(self) -> Result<Options, Box<dyn Error>> {
        let file = self.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        Ok(self.given.or(file).or_default())
    }
}

fn read_file(path: &Path) -> Result<Given, Box<dyn Error>> {
    let shown = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|e| format!("can't read the config file {shown}: {e}"))?;
    let given = toml::from_str::<Given>(&text)
        .map_err(|e| format!("{shown} is not a valid config file; see docs/options.md: {e}"))?;
    // What the command line checks by itself has to hold for the file too.
    let range = |name: &str, value: Option<u32>, range: std::ops::RangeInclusive<u32>| match value {
        Some(value) if !range.contains(&value) => {
            Err(format!("{shown}: {name} = {value} is not in {}..={}", range.start(), range.end()))
        }
        _ => Ok(()),
    };
    let range_ms = |name: &str, value: Option<u64>, range: std::ops::RangeInclusive<u64>| match value {
        Some(value) if !range.contains(&value) => {
            Err(format!("{shown}: {name} = {value} is not in {}..={}", range.start(), range.end()))
        }
        _ => Ok(()),
    };
    range_ms("session-timeout-ms", given.session_timeout_ms, 1_000..=600_000)?;
    range_ms("retention-check-interval-ms", given.retention_check_interval_ms, 100..=86_400_000)?;
    range_ms("cleaner-backoff-ms", given.cleaner_backoff_ms, 100..=86_400_000)?;
    range_ms("group-initial-rebalance-delay-ms", given.group_initial_rebalance_delay_ms, 0..=300_000)?;
    range_ms("offsets-retention-minutes", given.offsets_retention_minutes, 1..=5_256_000)?;
    range_ms("transaction-max-timeout-ms", given.transaction_max_timeout_ms, 1_000..=2_147_483_647)?;
    range_ms("wal-upload-after-ms", given.wal_upload_after_ms, 1_000..=86_400_000)?;
    range("compaction-mib-per-second", given.compaction_mib_per_second, 1..=65_536)?;
    range("num-partitions", given.num_partitions, 1..=10_000)?;
    range("wal-in-flight", given.wal_in_flight, 0..=16)?;
    range("wal-untrimmed-mib", given.wal_untrimmed_mib, 64..=2_048)?;
    range("wal-untrimmed-objects", given.wal_untrimmed_objects, 64..=65_536)?;
    range("wal-buffer-mib", given.wal_buffer_mib, 64..=262_144)?;
    range("block-cache-mib", given.block_cache_mib, 0..=1_048_576)?;
    range("disk-cache-mib", given.disk_cache_mib, 64..=1_048_576)?;
    range("read-ahead-mib", given.read_ahead_mib, 0..=64)?;
    Ok(given)
}

/// The reference page of the options.
#[cfg(test)]
fn reference_page() -> String {
    let mut page = "# Options of `levee serve`\n\n\
        The command line wins over the environment, which wins over the file that `--config` names, which wins over\n\
        the defaults. An unknown name in the file is refused. Made from `crates/cli/src/options.rs`.\n"
        .to_owned();
    for (name, default, help) in described() {
        let env = format!("LEVEE_{}", name.to_uppercase());
        let flag = name.replace('_', "-");
        let _ = write!(
            page,
            "\n## `--{flag}`\n\n{help}\n\nEnvironment: `{env}`. File: `{flag}`. Default: `{default}`.\n"
        );
    }
    page
}

/// A config file with every option at its default, commented out.
#[cfg(test)]
fn sample_file() -> String {
    let mut file =
        "# A config file for `levee serve --config FILE`, every option at its default.\n".to_owned();
    for (name, default, help) in described() {
        let comment = help.lines().map(|line| format!("# {line}\n")).collect::<String>();
        let _ = write!(file, "\n{comment}#{} = {default}\n", name.replace('_', "-"));
    }
    file
}

#[cfg(test)]
fn described() -> Vec<(&'static str, String, String)> {
    let command = crate::args::Cli::command();
    let serve = command.find_subcommand("serve").expect("there is a command `serve`");
    let help_of = |name: &str| {
        let arg = serve.get_arguments().find(|arg| arg.get_id() == name).expect("each option is an argument");
        arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default()
    };
    Options::defaults().into_iter().map(|(name, default)| (name, default, help_of(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn serve(args: &[&str]) -> Result<Options, Box<dyn Error>> {
        let cli = Cli::try_parse_from([&["levee", "serve"], args].concat())?;
        let Command::Serve(args) = cli.command else { panic!("not serve") };
        args.options()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn the_command_line_wins_over_the_file_which_wins_over_defaults() {
        let file = file("node-id = 7\nlisten = '127.0.0.1:1'\n");
        let path = file.path().to_str().unwrap();
        let options = serve(&["--config", path, "--node-id", "8"]).unwrap();
        assert_eq!((options.node_id, options.listen.as_str()), (8, "127.0.0.1:1"));
        assert_eq!(options.num_partitions, 1);
    }

    #[test]
    fn unknown_keys_and_wrong_values_in_the_file_are_refused() {
        for text in
            ["node-idd = 1", "node_id = 1", "node-id = 'x'", "wal-in-flight = 17", "num-partitions = 0"]
        {
            let file = file(text);
            let error = serve(&["--config", file.path().to_str().unwrap()]).unwrap_err().to_string();
            assert!(error.contains(file.path().to_str().unwrap()), "{error}");
        }
        assert!(
            serve(&["--config", "/nonexistent/levee.toml"]).unwrap_err().to_string().contains("can't read")
        );
    }

    #[test]
    fn the_sample_file_is_valid_once_uncommented() {
        let text: String = sample_file()
            .lines()
            .filter_map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')))
            .map(|line| format!("{line}\n"))
            .collect();
        let given: Given = toml::from_str(&text).unwrap();
        assert_eq!(given.or_default(), Given::default().or_default());
    }

    /// `UPDATE_DOCS=1 cargo test -p levee-cli` writes the files anew.
    #[test]
    fn the_docs_are_in_step() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        for (name, text) in [("options.md", reference_page()), ("levee.toml", sample_file())] {
            let path = docs.join(name);
            if std::env::var_os("UPDATE_DOCS").is_some() {
                std::fs::write(&path, &text).unwrap();
            }
            assert_eq!(
                std::fs::read_to_string(&path).unwrap_or_default(),
                text,
                "docs/{name} is out of date"
            );
        }
    }
}
