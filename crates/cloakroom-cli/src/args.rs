//! The command line.

mod audit;
mod keys;
mod plan;
mod reveal;
mod rules;
mod scan;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::filter::LevelFilter;

pub(crate) use audit::{
    AuditCheckpointOptions, AuditCommand, AuditExportOptions, AuditFormat, AuditListOptions, AuditVerifyOptions,
};
pub(crate) use keys::{KeyFileOptions, KeysCommand, ProtectBy, ProtectionOptions};
pub(crate) use plan::PlanOptions;
pub(crate) use reveal::{ApproveOptions, DocumentFormat, MigrateOptions, RevealOptions, ShownLevel};
pub(crate) use rules::{BenchOptions, ListOptions, RulesCommand, ShowOptions, TestOptions};
pub(crate) use scan::{ScanFormat, ScanOptions};

use crate::sample::Kind;

/// Finds what is sensitive in records, cloaks it, and loads the result.
#[derive(Parser)]
#[command(
    name = "cloakroom",
    version,
    after_help = "Examples:\n  cloakroom demo                          see it work on sample data\n  \
                  cloakroom scan .                        what is sensitive in this folder\n  \
                  cloakroom keys init                     make the key ring\n  \
                  cloakroom check logins.yaml --connect   what will happen to each field, and can it be reached\n  \
                  cloakroom run logins.yaml               run a pipeline\n\n\
                  Exit codes: 0 done, 1 findings, or records went to dead letters, 2 usage or configuration, \
                  3 a dependency failed, 4 denied."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// How much to log to standard error. Values are never logged.
    #[arg(long, global = true, default_value = "warn", env = "CLOAKROOM_LOG")]
    pub(crate) log: LogLevel,
    /// How to write log lines.
    #[arg(long, global = true, default_value = "text", env = "CLOAKROOM_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

impl LogLevel {
    pub(crate) fn filter(self) -> LevelFilter {
        match self {
            Self::Off => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// How results are written to standard output.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Human,
    /// One JSON document, for programs.
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Sample logins, users and messages through three policies into SQLite.
    Demo(DemoOptions),
    /// Run a pipeline.
    Run(RunOptions),
    /// Validate a pipeline file and show what will happen to each field.
    Check(CheckOptions),
    /// Show what a change of the policy uncovers or newly covers, on a sample.
    Plan(PlanOptions),
    /// Apply a policy to JSON lines: a filter from file to file.
    Protect(ProtectOptions),
    /// See protected values again: for a purpose and a reason, on record, as far as the policy allows it.
    Reveal(Box<RevealOptions>),
    /// Agree to what another person asks to see, as the second pair of eyes.
    Approve(ApproveOptions),
    /// Open documents of an older system and protect them by a policy, without plain text on the disk.
    Migrate(MigrateOptions),
    /// Find sensitive values in files, folders, standard input or JSON lines.
    Scan(Box<ScanOptions>),
    /// Show, test and measure the rules of detection.
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Make, show, rotate and protect keys; destroy those of a person.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Show what went through, by run and by queue, object, shard and file; and what does not add up.
    Status(StatusOptions),
    /// Look at, replay or discard records that could not be delivered.
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Show, check and export the audit log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Write deterministic sample data, or serve it as an HTTP API.
    #[command(subcommand)]
    Sample(SampleCommand),
    /// Print the JSON Schema of pipeline files.
    Schema,
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one for every command into a folder.
    Man {
        /// The folder.
        #[arg(long)]
        folder: Option<PathBuf>,
    },
}

#[derive(Args)]
#[command(after_help = "Example:\n  cloakroom demo --count 10000 --folder /tmp/demo\n\n\
    The folder is made anew each time; the database in it can be opened with any SQLite tool.")]
pub(crate) struct DemoOptions {
    /// Where the demo's data, keys and database go.
    #[arg(long, default_value = "cloakroom-demo")]
    pub(crate) folder: PathBuf,
    /// How many logins; users and messages are a tenth of it.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) count: u64,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  cloakroom run logins.yaml\n  DATABASE_URL=postgres://… cloakroom run logins.yaml --output json\n\n\
    Ctrl-C (or SIGTERM) stops gracefully: what was taken is finished, the rest stays at the source. \
    A run that is repeated or killed and started again delivers every record exactly once."
)]
pub(crate) struct RunOptions {
    /// The pipeline file.
    pub(crate) file: PathBuf,
    /// Take what is there now and end. Files and HTTP APIs always do.
    #[arg(long)]
    pub(crate) once: bool,
    /// How the summary is written.
    #[arg(long, default_value = "human")]
    pub(crate) output: Output,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  cloakroom status\n  cloakroom status logins.yaml --connect\n  \
    cloakroom status --output json | jq '.[].alarms'\n\n\
    Every record that was received has one outcome: delivered, duplicate, filtered, dead or returned. Where that does \
    not add up, or records counted as dead have no dead letter, it is said as an alarm, and the exit code is 1. \
    Counts are written once a second: those of a run that was killed lack its last second.")]
pub(crate) struct StatusOptions {
    /// A pipeline file: only this pipeline, and its own state store (default: all pipelines of the default store).
    pub(crate) file: Option<PathBuf>,
    /// How many runs, and how many queues, objects, shards and files.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// Also ask source and sink: how many messages wait, whether the target is there. Needs the pipeline file.
    #[arg(long, requires = "file")]
    pub(crate) connect: bool,
    /// How the result is written.
    #[arg(long, default_value = "human")]
    pub(crate) output: Output,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  cloakroom check logins.yaml\n  cloakroom check logins.yaml --connect --output json"
)]
pub(crate) struct CheckOptions {
    /// The pipeline file.
    pub(crate) file: PathBuf,
    /// Open every connection and hold the target's columns against the policy.
    #[arg(long)]
    pub(crate) connect: bool,
    /// How the result is written.
    #[arg(long, default_value = "human")]
    pub(crate) output: Output,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  cloakroom protect --policy policy.yaml customers.jsonl safe.jsonl\n  \
    zcat customers.jsonl.gz | cloakroom protect --policy policy.yaml > safe.jsonl\n\n\
    The policy is a pipeline file; its source and sink are not used. Records that the policy rejects are \
    not written: each is reported with its place and reason on standard error, and the exit code is 1. \
    An output file appears under its name when it is complete.")]
pub(crate) struct ProtectOptions {
    /// The pipeline file whose policy is applied.
    #[arg(long)]
    pub(crate) policy: PathBuf,
    /// The input; `-` is standard input.
    #[arg(default_value = "-")]
    pub(crate) input: String,
    /// The output; `-` is standard output.
    #[arg(default_value = "-")]
    pub(crate) output_file: String,
    /// How the summary on standard error is written.
    #[arg(long, default_value = "human")]
    pub(crate) output: Output,
}

#[derive(Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List dead letters: where each came from and why it was rejected.
    #[command(
        after_help = "Examples:\n  cloakroom dead-letters list\n  cloakroom dead-letters list logins.yaml --output json"
    )]
    List {
        /// The pipeline file whose letters are listed (default: all in the default store).
        file: Option<PathBuf>,
        /// Replayed and discarded ones, too.
        #[arg(long)]
        all: bool,
        /// The most lines.
        #[arg(long, default_value_t = 1000)]
        limit: u64,
        /// How the list is written.
        #[arg(long, default_value = "human")]
        output: Output,
    },
    /// Show one dead letter, its record masked: names and kinds of fields, no values.
    Show {
        /// The letter's id, or the beginning of it.
        id: String,
        /// The pipeline file that names its store and keys.
        #[arg(long)]
        file: Option<PathBuf>,
        /// How the letter is written.
        #[arg(long, default_value = "human")]
        output: Output,
    },
    /// Deliver dead letters again, under the policy as the file has it now.
    #[command(
        after_help = "Examples:\n  cloakroom dead-letters replay logins.yaml\n  cloakroom dead-letters replay logins.yaml --id q3m5 --id zx7a"
    )]
    Replay {
        /// The pipeline file.
        file: PathBuf,
        /// Only these letters.
        #[arg(long)]
        id: Vec<String>,
        /// How the summary is written.
        #[arg(long, default_value = "human")]
        output: Output,
    },
    /// Discard dead letters for good: their content is erased, their line stays as history.
    Discard {
        /// The letters' ids.
        #[arg(required_unless_present = "all")]
        id: Vec<String>,
        /// All waiting letters of the pipeline.
        #[arg(long, requires = "file", conflicts_with = "id")]
        all: bool,
        /// The pipeline file that names their store.
        #[arg(long)]
        file: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
pub(crate) enum SampleCommand {
    /// Logins: user, device, IP address, locale.
    Logins(SampleOptions),
    /// Users with card numbers and addresses.
    Users(SampleOptions),
    /// Chat messages, some with e-mail addresses and card numbers in them.
    Messages(SampleOptions),
    /// Customers: about 320 bytes each, for measuring.
    Customers(SampleOptions),
    /// Serve a list of records as an HTTP API with pages, cursors and links.
    #[command(
        after_help = "Example:\n  cloakroom sample serve --count 100 --address 127.0.0.1:8089 --faults\n  curl 'http://127.0.0.1:8089/users?page=1&limit=10'"
    )]
    Serve(ServeOptions),
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  cloakroom sample logins --count 1000 > logins.jsonl\n\nThe same kind, seed and number always give the same bytes."
)]
pub(crate) struct SampleOptions {
    /// How many records.
    #[arg(long, default_value_t = 100)]
    pub(crate) count: u64,
    /// Another seed gives other data.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Every 50th login has a wrong shape, as real queues have.
    #[arg(long)]
    pub(crate) wrong_shape: bool,
}

#[derive(Args)]
pub(crate) struct ServeOptions {
    /// A file with a JSON array to serve (default: generated records).
    #[arg(long)]
    pub(crate) from: Option<PathBuf>,
    /// What to generate.
    #[arg(long, default_value = "users")]
    pub(crate) kind: Kind,
    /// How many to generate.
    #[arg(long, default_value_t = 100)]
    pub(crate) count: usize,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8089")]
    pub(crate) address: SocketAddr,
    /// Records of a page, where a request does not say.
    #[arg(long, default_value_t = 25)]
    pub(crate) page_size: usize,
    /// Answer now and then with 500, with 429, and with half of a body.
    #[arg(long)]
    pub(crate) faults: bool,
    /// Put a broken record at this place.
    #[arg(long)]
    pub(crate) broken_at: Option<usize>,
    /// Ask for this bearer token.
    #[arg(long, env = "CLOAKROOM_SAMPLE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}
