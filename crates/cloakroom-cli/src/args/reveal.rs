//! `cloakroom reveal` and `cloakroom migrate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Output;

/// Formats of documents that older systems wrote.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DocumentFormat {
    /// AES-256-EAX under a key for each person, wrapped under a key that scrypt makes from user name and master key.
    EaxScrypt,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  cloakroom reveal --jsonl users.jsonl --format eax-scrypt --reason 'ticket 4711' --master-key-file master.key\n  \
    CLOAKROOM_MASTER_KEY=… cloakroom reveal --jsonl - --format eax-scrypt --reason audit < users.jsonl\n\n\
    A line is a document, or an object with the document under `_source` as Elasticsearch exports it. For each comes one\n\
    line, in the same order: the document's members as they are and in their order, `cc`, `ccv` and `cuenta_numero` opened,\n\
    without their tags and nonces, `dek`, `dek_tag`, `dek_nonce`, `kek_salt` and `hash_ccv`. For a document that does not\n\
    open the line is {\"error\":\"…\"} without a value, and the exit code is 1. A master key that opens none of the first\n\
    documents is refused with exit code 4, and nothing is written. Every document is a line in the audit log before its\n\
    plain text is written (`cloakroom audit list`); without a key ring one is made for it."
)]
pub(crate) struct RevealOptions {
    /// JSON lines, one document each; `-` is standard input. gzip and zstd are recognised.
    #[arg(long, value_name = "FILE")]
    pub(crate) jsonl: String,
    /// How the documents were written.
    #[arg(long)]
    pub(crate) format: DocumentFormat,
    /// Why they are opened; stands in the audit log. Without one the attempt is refused, and on record.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// A file with the master key that only you can read (default: the variable CLOAKROOM_MASTER_KEY).
    #[arg(long, value_name = "FILE")]
    pub(crate) master_key_file: Option<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  CLOAKROOM_MASTER_KEY=… cloakroom migrate --from eax-scrypt --policy policy.yaml users.jsonl safe.jsonl\n\n\
    Documents are read as `cloakroom reveal` reads them, and each plain record goes through the policy as in\n\
    `cloakroom protect`: name its fields as the documents do (username, cc, ccv, cuenta_numero, …). Documents that do not\n\
    open and records that the policy rejects are not written: each is reported with its place and reason on standard\n\
    error, and the exit code is 1. An output file appears under its name when it is complete."
)]
pub(crate) struct MigrateOptions {
    /// How the documents were written.
    #[arg(long)]
    pub(crate) from: DocumentFormat,
    /// The pipeline file whose policy is applied.
    #[arg(long)]
    pub(crate) policy: PathBuf,
    /// A file with the master key that only you can read (default: the variable CLOAKROOM_MASTER_KEY).
    #[arg(long, value_name = "FILE")]
    pub(crate) master_key_file: Option<PathBuf>,
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
