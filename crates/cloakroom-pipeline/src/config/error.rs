//! What is wrong with a pipeline file, as people want to read it: `file:line:column: reason`.

use std::fmt;

use cloakroom_core::PolicyError;
use cloakroom_core::error::nearest;
use cloakroom_core::located::Position;

/// A mistake in a configuration file. Exit code 2.
#[derive(Clone, Debug)]
pub struct ConfigError {
    /// The file's name.
    pub file: String,
    /// Where in it.
    pub at: Option<Position>,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl ConfigError {
    /// A mistake.
    pub fn new(file: &str, at: Option<Position>, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), at, message: message.into() }
    }

    /// A mistake in a policy section.
    #[must_use]
    pub fn from_policy(file: &str, error: PolicyError) -> Self {
        Self { file: file.to_owned(), at: error.at, message: error.message }
    }

    /// A mistake that the YAML reader found. Its snippet of the file is left out: a line may hold a
    /// password.
    #[must_use]
    pub fn from_yaml(file: &str, error: &serde_saphyr::Error) -> Self {
        let text = error.without_snippet().to_string();
        let at = error.location().map(|at| Position { line: at.line(), column: at.column() });
        let text = text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]);
        let text = text.split(", set DuplicateKeyPolicy").next().unwrap_or(text);
        Self { file: file.to_owned(), at, message: in_words(&with_nearest(&without_literals(text))) }
    }
}

/// serde says "unknown field `x`, expected one of `a`, `b`": the nearest goes first, the list after it. A
/// word that is near none may be a password in the wrong place, and is not repeated.
fn with_nearest(text: &str) -> String {
    let (Some(head), Some((_, words))) = (text.split(", expected").next(), text.split_once(", expected ")) else {
        return text.to_owned();
    };
    if !text.starts_with("unknown ") {
        return text.to_owned();
    }
    let what = head.split('`').next().unwrap_or("").trim_end();
    let wrong = head.split('`').nth(1).unwrap_or("");
    let words = words.trim_start_matches("one of ");
    let words: Vec<&str> = words.split([',', ' ', '`']).filter(|word| !word.is_empty() && *word != "or").collect();
    let known = words.join(", ");
    match nearest(wrong, words.iter().copied()) {
        Some(near) => format!("{what} `{wrong}`; did you mean `{near}`? (known: {known})"),
        None => format!("{what} (known: {known})"),
    }
}

/// The YAML reader's own words, for the commonest mistakes, in those of whoever writes a pipeline file.
fn in_words(text: &str) -> String {
    const WORDS: &[(&str, &str)] = &[
        ("expected mapping start", "settings are expected here: `{ name: value }`, or indented lines of `name: value`"),
        ("expected sequence start", "a list is expected here: `[a, b]`"),
        ("expected string scalar", "a text is expected here"),
        (
            "expected end of mapping after enum variant value",
            "one is expected here, and there are more; several sinks go \
             into `fan_out: [ … ]`",
        ),
        ("untagged enum SetValue", "expected `ingest_date`, `ingest_time`, `uuid` or `{ constant: … }`"),
    ];
    if let Some((_, words)) = WORDS.iter().find(|(known, _)| text.contains(known)) {
        return (*words).to_owned();
    }
    let is_number = |word: &str| {
        word.strip_prefix(['u', 'i']).is_some_and(|bits| matches!(bits, "8" | "16" | "32" | "64" | "size"))
    };
    match text.strip_prefix("invalid ") {
        Some(rest) if rest.split_whitespace().next().is_some_and(is_number) => {
            "a whole number is expected here, without a unit, and not too large".to_owned()
        }
        _ => text.to_owned(),
    }
}

/// serde quotes what it found (`invalid type: string "…"`): the quoted text may be a secret.
fn without_literals(text: &str) -> String {
    let mut parts = text.split('"');
    let mut clean = parts.next().unwrap_or("").trim_end().to_owned();
    for (index, part) in parts.enumerate() {
        if index % 2 == 1 {
            clean.push_str(part);
        }
    }
    clean
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", self.file)?;
        if let Some(at) = self.at {
            write!(formatter, "{}:{}:", at.line, at.column)?;
        }
        write!(formatter, " {}", self.message)
    }
}

impl std::error::Error for ConfigError {}
