//! The arguments of `cloakroom scan`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// How findings are written to standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScanFormat {
    /// A line for people, values masked
    #[default]
    Human,
    /// A JSON object a finding, with positions in bytes, characters and UTF-16 units
    Jsonl,
    /// SARIF 2.1.0, for code hosts and editors
    Sarif,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  \
    cloakroom scan .                                          what is in this folder\n  \
    cloakroom scan logs/ --entities CREDIT_CARD,US_SSN        only some kinds\n  \
    git diff | cloakroom scan                                 standard input\n  \
    cloakroom scan . --format sarif > findings.sarif          for a code host\n  \
    cloakroom scan . --write-baseline known.json              accept what is there now …\n  \
    cloakroom scan . --baseline known.json                    … and report what is new\n  \
    cloakroom scan --jsonl messages.jsonl --text-field text   a stream of JSON objects\n\n\
    Folders are read as ripgrep does: hidden files and what .gitignore, .ignore and .cloakroomignore name are left \
    out, and so are binary files. UTF-8, UTF-16 and Windows-1252 are recognised; positions are those of the file. In \
    .csv and .tsv files a column's header counts as context for its cells. No value is ever written: excerpts are \
    masked, and a fingerprint is a keyed hash (`cloakroom keys init` makes the key).\n\n\
    Allow list (--allow FILE, or .cloakroom-allow.yaml in the current folder): a YAML list whose entries name a \
    `fingerprint`, `value`, `regex` (of the whole value) or `path` (a pattern), and as you like `rule`, `entity`, \
    `expires` (its last day) and `reason`:\n  \
    - { path: 'tests/**', entity: CREDIT_CARD, reason: test numbers, expires: 2027-06-30 }\n\n\
    With --jsonl each line of input gives one line, in order: the same `id` and `findings` with `entity`, `rule`, \
    `start` and `end` (bytes of the text in UTF-8), `confidence` and `validated`. A line that is no JSON object gives \
    `\"error\"` and its number in `\"line\"`.\n\n\
    Exit codes: 0 nothing found, 1 findings, 2 something could not be read (the rest was scanned) or wrong usage.")]
pub(crate) struct ScanOptions {
    /// Files and folders; `-` is standard input (default: standard input, or the current folder on a terminal).
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// How findings are written.
    #[arg(long, default_value = "human")]
    pub(crate) format: ScanFormat,
    /// The input is JSON lines: look into one text field of each object, write one line for each.
    #[arg(long, conflicts_with_all = [
        "format", "allow", "baseline", "write_baseline", "fingerprint_key", "max_findings", "hidden", "no_ignore",
    ])]
    pub(crate) jsonl: bool,
    /// With --jsonl: the field with the text; `message.body` reaches inside.
    #[arg(long, default_value = "text", requires = "jsonl", value_name = "FIELD")]
    pub(crate) text_field: String,
    /// Report findings from this confidence, 0 to 1.
    #[arg(long, default_value_t = cloakroom_core::detect::DEFAULT_THRESHOLD, value_parser = confidence, value_name = "0..1")]
    pub(crate) min_confidence: f32,
    /// Only these entities, for example EMAIL_ADDRESS,CREDIT_CARD; see `cloakroom rules list`.
    #[arg(long, value_delimiter = ',', value_name = "ENTITY")]
    pub(crate) entities: Vec<String>,
    /// These entities, too, which are looked for only when asked.
    #[arg(long, value_delimiter = ',', value_name = "ENTITY")]
    pub(crate) also: Vec<String>,
    /// Not these entities or rules.
    #[arg(long, value_delimiter = ',', value_name = "ENTITY|RULE")]
    pub(crate) exclude: Vec<String>,
    /// Rules of your own, beside the built-in ones: a YAML file or a folder of them. May be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) rules: Vec<PathBuf>,
    /// What is accepted (default: .cloakroom-allow.yaml in the current folder, where there is one).
    #[arg(long, value_name = "FILE")]
    pub(crate) allow: Option<PathBuf>,
    /// Leave out findings that this file knows, by their fingerprints.
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Write the fingerprints of all findings to a file, for --baseline.
    #[arg(long, value_name = "FILE", conflicts_with = "max_findings")]
    pub(crate) write_baseline: Option<PathBuf>,
    /// A key file for fingerprints, shared by all who compare them (default: the key ring, or CLOAKROOM_KEY).
    #[arg(long, value_name = "FILE")]
    pub(crate) fingerprint_key: Option<PathBuf>,
    /// Stop after so many findings.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_findings: Option<u64>,
    /// Hidden files and folders, too.
    #[arg(long)]
    pub(crate) hidden: bool,
    /// Read what .gitignore, .ignore and .cloakroomignore leave out.
    #[arg(long)]
    pub(crate) no_ignore: bool,
    /// Threads (default: one a core).
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

fn confidence(text: &str) -> Result<f32, String> {
    let number = text.parse::<f32>().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "must be a number between 0 and 1".to_owned())
}
