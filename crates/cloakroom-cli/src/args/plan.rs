//! The arguments of `cloakroom plan`.

use std::path::PathBuf;

use clap::Args;

use super::Output;

#[derive(Args)]
#[command(after_help = "Examples:\n  cloakroom plan live.yaml next.yaml --sample sample.jsonl\n  \
    cloakroom plan live.yaml next.yaml --sample sample.csv --output json\n\n\
    Every value of the sample is held against both policies, and what differs is counted; no value is printed. The \
    sample has the format that OLD's `record.format` names. Stronger is, in this order: block, drop and null; redact; \
    encrypt, hmac and token; mask; hash and bcrypt; clear. Other protections have no place in it: they are `changed`. A record that both policies reject is not compared.\n\n\
    Exit codes: 0 nothing that was covered becomes clear, 1 something does, 2 usage, or a policy or sample that \
    cannot be read.")]
pub(crate) struct PlanOptions {
    /// The pipeline file with the policy of today.
    pub(crate) old: PathBuf,
    /// The pipeline file with the policy of tomorrow.
    pub(crate) new: PathBuf,
    /// Records to try both on; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) sample: String,
    /// How the result is written.
    #[arg(long, default_value = "human")]
    pub(crate) output: Output,
}
