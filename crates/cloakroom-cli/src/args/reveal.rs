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

/// How much of a value is shown.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShownLevel {
    /// Enough to recognise it.
    #[default]
    Masked,
    /// All of it.
    Full,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  cloakroom reveal --policy users.yaml --subject 4711 --purpose support --reason 'ticket 12'\n  \
    cloakroom reveal --policy users.yaml --record email=jo@mail.example --class payment --level full --purpose fraud --reason 'case 9'\n  \
    cloakroom reveal --policy users.yaml --jsonl export.jsonl --purpose audit --reason 'audit 2026'\n  \
    cloakroom reveal --jsonl users-sealed.jsonl --format eax-scrypt --reason 'ticket 4711' --master-key-file master.key\n\n\
    With --policy, protected records come from --jsonl, or are looked up in the pipeline's sink by --subject or --record. Who may \
    see what is said by the policy's `reveal:` section; without one nobody may. One line is printed for each record, with the \
    values that you may see in the place of their envelopes, masked unless --level full is given and allowed. What was refused is \
    {\"error\":\"…\"}. Every record is a line in the audit log before it is printed (`cloakroom audit list`), every refusal too. \
    Exit code 4: refused, for want of a reason, a right, somebody's agreement, because a limit is reached or the person was \
    erased. Exit code 1: something does not open, or there is no such record.\n\n\
    Where the policy wants a second person: ask with --request FILE --people N, have them run `cloakroom approve FILE`, and give \
    what they get as --approval.\n\n\
    With --format eax-scrypt a line is a document, or an object with the document under `_source` as Elasticsearch exports it. For \
    each comes one line, in the same order: the document's members as they are and in their order, `cc`, `ccv` and `cuenta_numero` \
    opened, without their tags and nonces, `dek`, `dek_tag`, `dek_nonce`, `kek_salt` and `hash_ccv`. For a document that does not \
    open the line is {\"error\":\"…\"} without a value, and the exit code is 1. A master key that opens none of the first \
    documents is refused with exit code 4, and nothing is written. Without a key ring one is made for the audit log."
)]
pub(crate) struct RevealOptions {
    /// The pipeline file whose policy protected the records.
    #[arg(long, value_name = "FILE", required_unless_present = "format", conflicts_with_all = ["format", "master_key_file"])]
    pub(crate) policy: Option<PathBuf>,
    /// JSON lines, one record each; `-` is standard input. gzip and zstd are recognised.
    #[arg(long, value_name = "FILE")]
    pub(crate) jsonl: Option<String>,
    /// Another system's format of documents.
    #[arg(long, requires = "jsonl")]
    pub(crate) format: Option<DocumentFormat>,
    /// The person whose records are opened: the value of the policy's `subject` field.
    #[arg(long, value_name = "TEXT", conflicts_with = "format")]
    pub(crate) subject: Option<String>,
    /// Records with this value in a field, which may be protected if equal values look equal, or it has an index.
    #[arg(long, value_name = "FIELD=VALUE", conflicts_with = "format", conflicts_with = "subject")]
    pub(crate) record: Option<String>,
    /// Only this field of protected records, such as `cards[*].number`; may be given several times.
    #[arg(long, value_name = "PATH", conflicts_with = "format")]
    pub(crate) field: Vec<String>,
    /// Only fields of this class; may be given several times.
    #[arg(long, value_name = "NAME", conflicts_with = "format")]
    pub(crate) class: Vec<String>,
    /// How much of each value.
    #[arg(long, default_value = "masked", conflicts_with = "format")]
    pub(crate) level: ShownLevel,
    /// What for: one of the purposes that the policy allows.
    #[arg(long, value_name = "TEXT")]
    pub(crate) purpose: Option<String>,
    /// Why they are opened; stands in the audit log. Without one the attempt is refused, and on record.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Opens nothing: writes a request that another person can agree to.
    #[arg(long, value_name = "FILE", requires = "people", conflicts_with_all = ["format", "approval"])]
    pub(crate) request: Option<PathBuf>,
    /// With --request: how many people's records at most.
    #[arg(long, value_name = "N", requires = "request")]
    pub(crate) people: Option<u64>,
    /// Another person's agreement, as `cloakroom approve` printed it. It is good for one run.
    #[arg(long, value_name = "FILE", conflicts_with = "format")]
    pub(crate) approval: Option<PathBuf>,
    /// With --format: a file with the master key that only you can read (default: the variable CLOAKROOM_MASTER_KEY).
    #[arg(long, value_name = "FILE")]
    pub(crate) master_key_file: Option<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  cloakroom approve --init carol.key                                    once: prints the public key for the policy\n  \
    cloakroom approve request.json --key carol.key > approval.json\n\n\
    The request is shown on standard error: who wants to see what, what for, and of how many people. On a terminal you are asked; \
    elsewhere say --yes. Needs no key ring and no data: it can be done on another machine. The policy names the public keys of \
    those who may agree under `reveal.approval.by`."
)]
pub(crate) struct ApproveOptions {
    /// The request, as `cloakroom reveal --request` wrote it.
    #[arg(required_unless_present = "init")]
    pub(crate) request: Option<PathBuf>,
    /// Your key, a file that only you can read.
    #[arg(long, value_name = "FILE", required_unless_present = "init")]
    pub(crate) key: Option<PathBuf>,
    /// Makes a key for you in a new file, and prints its public half.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["request", "key"])]
    pub(crate) init: Option<PathBuf>,
    /// Agree without being asked.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  CLOAKROOM_MASTER_KEY=… cloakroom migrate --from eax-scrypt --policy policy.yaml users-sealed.jsonl safe.jsonl\n\n\
    Documents are read as `cloakroom reveal` reads them, and each plain record goes through the policy as in \
    `cloakroom protect`: name its fields as the documents do (username, cc, ccv, cuenta_numero, …). Documents that do not \
    open and records that the policy rejects are not written: each is reported with its place and reason on standard \
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
