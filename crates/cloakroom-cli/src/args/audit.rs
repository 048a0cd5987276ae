//! The arguments of `cloakroom audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Output;

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// List events: who did what, why, with what outcome.
    List(AuditListOptions),
    /// Check that the log is as it was written; name the first line that is not.
    Verify(AuditVerifyOptions),
    /// Write all events, or the signed checkpoints, to standard output.
    Export(AuditExportOptions),
    /// Append a signed checkpoint now, and print it, to be kept elsewhere.
    Checkpoint(AuditCheckpointOptions),
}

#[derive(Args)]
#[command(after_help = "Examples:\n  cloakroom audit list --since 2026-11-01 --action reveal\n  \
    cloakroom audit list --outcome refused --output json\n\n\
    The newest events come last. What is listed was not checked; `cloakroom audit verify` does that.")]
pub(crate) struct AuditListOptions {
    /// The log (default: audit.jsonl in CLOAKROOM_HOME or ~/.local/share/cloakroom).
    #[arg(long)]
    pub(crate) file: Option<PathBuf>,
    /// From this day or moment on (2026-11-21, or 2026-11-21T08:00:00Z).
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Up to this day or moment, inclusive.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Only of this principal.
    #[arg(long)]
    pub(crate) principal: Option<String>,
    /// Only this action: reveal, erase, rotate, …
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// Only with this outcome (allowed, refused, failed) or reason of refusal (no_right, rate_limited, …).
    #[arg(long)]
    pub(crate) outcome: Option<String>,
    /// The most lines; the newest are shown.
    #[arg(long, default_value_t = 1000)]
    pub(crate) limit: usize,
    /// How the list is written.
    #[arg(long, default_value = "human")]
    pub(crate) output: Output,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  cloakroom audit verify\n  cloakroom audit verify --checkpoints kept.jsonl\n  \
    cloakroom audit verify --file copy/audit.jsonl --checkpoints kept.jsonl --public-key GznQ_Y4Wu…\n\n\
    With the key ring, every line is checked. With a public key only, order and checkpoints are. \
    Exit codes: 0 the log is as it was written, 1 it is not, 2 usage, 3 it cannot be read.")]
pub(crate) struct AuditVerifyOptions {
    /// The log (default: audit.jsonl in CLOAKROOM_HOME or ~/.local/share/cloakroom).
    #[arg(long)]
    pub(crate) file: Option<PathBuf>,
    /// The key file (default: the key ring in Cloakroom's home, or CLOAKROOM_KEY).
    #[arg(long, value_name = "FILE", conflicts_with = "public_key")]
    pub(crate) keys: Option<PathBuf>,
    /// Checkpoints that were kept elsewhere, as `audit export --checkpoints` and `audit checkpoint` print them.
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoints: Vec<PathBuf>,
    /// Check with this public key instead of the key ring. May be repeated.
    #[arg(long, value_name = "KEY")]
    pub(crate) public_key: Vec<String>,
    /// How the result is written.
    #[arg(long, default_value = "human")]
    pub(crate) output: Output,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  cloakroom audit export > audit-2026.jsonl\n  \
    cloakroom audit export --format csv > audit.csv\n  \
    cloakroom audit export --checkpoints > /mnt/elsewhere/checkpoints.jsonl\n\n\
    In CSV, a text that a spreadsheet would take for a formula gets an apostrophe in front.")]
pub(crate) struct AuditExportOptions {
    /// The log (default: audit.jsonl in CLOAKROOM_HOME or ~/.local/share/cloakroom).
    #[arg(long)]
    pub(crate) file: Option<PathBuf>,
    /// How events are written.
    #[arg(long, default_value = "jsonl")]
    pub(crate) format: AuditFormat,
    /// The signed checkpoints instead of the events, as JSON lines.
    #[arg(long, conflicts_with = "format")]
    pub(crate) checkpoints: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuditFormat {
    /// JSON lines, as they stand in the log.
    Jsonl,
    /// CSV with a header.
    Csv,
}

#[derive(Args)]
#[command(after_help = "Example:\n  cloakroom audit checkpoint >> /mnt/elsewhere/checkpoints.jsonl")]
pub(crate) struct AuditCheckpointOptions {
    /// The log (default: audit.jsonl in CLOAKROOM_HOME or ~/.local/share/cloakroom).
    #[arg(long)]
    pub(crate) file: Option<PathBuf>,
    /// The key file (default: the key ring in Cloakroom's home, or CLOAKROOM_KEY).
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,
}
