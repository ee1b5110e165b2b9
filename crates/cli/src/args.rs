//! The command line's shape. `serve`'s options, which a file and the environment can give too, are in
//! `options`.

use crate::options::ServeArgs;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Kafka on a bucket: one binary, one object store, nothing else.
#[derive(Debug, Parser)]
#[command(name = "levee", version, styles = STYLES, max_term_width = 110, after_help = "\
Examples:
  levee serve                                  a broker on 127.0.0.1:9092, its data in ./levee-data
  levee serve --store s3://my-bucket/levee     the same on a bucket
  levee topic create flights --partitions 12
  levee store check s3://my-bucket/levee       will this store do?
  levee fsck s3://my-bucket/levee              is all that was written still there, and whole?")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a broker.
    Serve(Box<ServeArgs>),
    /// Creates, lists, describes and deletes topics, through a running broker.
    Topic(TopicArgs),
    /// Checks object stores.
    Store(StoreArgs),
    /// Checks all that is in a store: checksums, offsets, references; and finds what nothing refers to. Needs no broker.
    ///
    /// Reads everything: every checksum, whether each partition's offsets go on without a hole, and whether what the
    /// metadata refers to is there. It holds nothing and writes nothing, so it can run beside a broker. Exits with 0 when
    /// nothing is damaged (waste is no damage), 1 when something is, 2 when it can't tell. See docs/fsck.md.
    Fsck(FsckArgs),
    /// Shows what is in a store: objects, write-ahead logs, the metadata journal. Needs no broker.
    Inspect(InspectArgs),
    /// Prints a completion script for a shell.
    Completions(CompletionsArgs),
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Table,
    /// For programs: one JSON document.
    Json,
}

#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// How to print the result.
    #[arg(long, value_enum, default_value = "table", global = true)]
    pub output: OutputFormat,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  levee topic create flights --partitions 12
  levee topic list --output json
  levee topic describe flights
  levee topic delete flights")]
pub struct TopicArgs {
    /// A broker to ask.
    #[arg(
        long,
        global = true,
        env = "LEVEE_BOOTSTRAP_SERVER",
        default_value = "127.0.0.1:9092",
        value_name = "HOST:PORT"
    )]
    pub bootstrap_server: String,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(subcommand)]
    pub command: TopicCommand,
}

#[derive(Debug, Subcommand)]
pub enum TopicCommand {
    /// Creates a topic.
    #[command(after_help = "Example:\n  levee topic create flights --partitions 12")]
    Create {
        /// Its name: letters, digits, '.', '_' and '-', at most 249.
        name: String,
        /// How many partitions; the broker's num.partitions when left out.
        #[arg(long, short, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// A topic config, as KEY=VALUE. Can be given several times.
        #[arg(long = "config", value_name = "KEY=VALUE", value_parser = key_value)]
        configs: Vec<(String, String)>,
    },
    /// Lists topics.
    #[command(after_help = "Example:\n  levee topic list --output json")]
    List,
    /// Shows a topic's partitions with their first and next offsets.
    #[command(after_help = "Example:\n  levee topic describe flights")]
    Describe {
        /// Its name.
        name: String,
    },
    /// Deletes a topic and its records.
    #[command(after_help = "Example:\n  levee topic delete flights")]
    Delete {
        /// Its name.
        name: String,
    },
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, as in retention.ms=86400000".to_owned()),
    }
}

#[derive(Debug, Args)]
pub struct StoreArgs {
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(subcommand)]
    pub command: StoreCommand,
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Finds out whether a store will do: races creates, reads, lists and deletes below a prefix of its own,
    /// which it removes afterwards. Exits with 0 when the store will do, 1 when it won't, 2 when nobody can tell.
    #[command(after_help = "\
Examples:
  levee store check ./levee-data
  levee store check s3://my-bucket/levee --output json")]
    Check {
        /// The store: s3://, gs://, az://, file:// or a path.
        #[arg(value_name = "URL")]
        url: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  levee inspect journal ./levee-data
  levee inspect wal s3://my-bucket/levee
  levee inspect object ./levee-data wal/1/00000000000000000001/00000000000000000000")]
pub struct InspectArgs {
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(subcommand)]
    pub command: InspectCommand,
}

#[derive(Debug, Subcommand)]
pub enum InspectCommand {
    /// Shows the metadata journal: its epochs, entries and commands.
    #[command(after_help = "Example:\n  levee inspect journal ./levee-data")]
    Journal {
        /// The store.
        url: String,
        /// Show at most so many of the newest entries.
        #[arg(long, default_value_t = 100)]
        last: usize,
    },
    /// Shows the write-ahead logs: each broker's epochs, how far they reach and how they ended.
    #[command(after_help = "Example:\n  levee inspect wal ./levee-data")]
    Wal {
        /// The store.
        url: String,
    },
    /// Shows one object: its header, its blocks, and whether its checksums hold.
    #[command(
        after_help = "Example:\n  levee inspect object ./levee-data wal/1/00000000000000000001/00000000000000000000"
    )]
    Object {
        /// The store.
        url: String,
        /// The object's key.
        key: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  levee fsck ./levee-data
  levee fsck s3://my-bucket/levee --quick                    headers, indexes and references only
  levee fsck s3://my-bucket/levee --bytes-per-second 20000000 --output json
  levee fsck s3://my-bucket/levee --repair                   asks, then deletes orphans only")]
pub struct FsckArgs {
    /// The store: s3://, gs://, az://, file:// or a path.
    #[arg(value_name = "URL")]
    pub url: String,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Doesn't read blocks: only headers, indexes and references, in at most two requests an object.
    #[arg(long)]
    pub quick: bool,
    /// Deletes orphans: prints which, and asks. Each is looked up in the metadata again before it is deleted. A folder
    /// must not be in use by a broker; a running broker deletes orphans by itself once an hour.
    #[arg(long)]
    pub repair: bool,
    /// Doesn't ask before it repairs.
    #[arg(long, requires = "repair")]
    pub yes: bool,
    /// Reads at most so many bytes a second; 0 is no limit.
    #[arg(long, value_name = "N", default_value_t = levee_base::limits::FSCK_BYTES_PER_SECOND)]
    pub bytes_per_second: u64,
    /// Reads so many objects at once.
    #[arg(long, value_name = "N", default_value_t = levee_base::limits::FSCK_CONCURRENCY as u16,
        value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  levee completions bash > /etc/bash_completion.d/levee")]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
