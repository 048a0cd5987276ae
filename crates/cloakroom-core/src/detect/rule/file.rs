// A rule as people write it in YAML. Also compiled into `build.rs`, so it uses nothing of the crate.

use serde::Deserialize;

/// A file of rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleFile {
    /// Its rules.
    pub(crate) rules: Vec<RuleSpec>,
}

/// A rule in a file. `rules/README.md` says what each field means.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented once, at the fields of `Rule`")]
pub struct RuleSpec {
    pub id: String,
    pub entity: String,
    pub description: String,
    pub regex: String,
    #[serde(default)]
    pub validate: Vec<String>,
    #[serde(default)]
    pub min_entropy: f32,
    pub confidence: f32,
    pub with_context: Option<f32>,
    #[serde(default)]
    pub context: Vec<String>,
    #[serde(default)]
    pub not_context: Vec<String>,
    #[serde(default)]
    pub edges: Edges,
    #[serde(default)]
    pub try_shorter: bool,
    #[serde(default)]
    pub extend: Extend,
    #[serde(default)]
    pub opt_in: bool,
    #[serde(default)]
    pub examples: Vec<String>,
    #[serde(default)]
    pub counter_examples: Vec<String>,
    #[serde(default)]
    pub references: Vec<String>,
}

/// What may touch a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edges {
    /// Nothing that makes it a part of a longer token: no `-`, `.`, `_`, `/`, `+`, `=`, `%`, `:` with a letter or digit behind it ... see `edges.rs`.
    #[default]
    Token,
    /// Whatever the regex allows.
    Word,
}

/// Whether a span goes on beyond the match of the regex.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extend {
    /// It ends where the match ends.
    #[default]
    No,
    /// To the matching `-----END …-----` (RFC 7468), or to the end of the base64 lines where that is missing.
    Pem,
}
