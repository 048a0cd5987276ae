//! Why a record was rejected, and why a policy was refused.
//!
//! Both carry positions and names from the policy, never a value: they are printed, logged, counted
//! and stored in clear beside sealed dead letters.

use std::borrow::Cow;
use std::fmt;

/// The reasons for which a record is rejected whole. The text of a kind is stable: dead letters are
/// listed, counted and filtered by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RecordErrorKind {
    /// A policy says that such a record must not pass.
    Blocked,
    /// A database refused the row; the detail holds its SQLSTATE or result code.
    Database,
    /// The same key twice in one object: two readers could see two different records.
    DuplicateKey,
    /// A date in none of the formats that the policy names.
    InvalidDate,
    /// This program made a mistake on the record.
    Internal,
    /// Not the format that the pipeline expects.
    InvalidFormat,
    /// A key was needed and could not be had.
    Key,
    /// Half of a UTF-16 surrogate pair, written as an escape: no Unicode text.
    LoneSurrogate,
    /// A required field is not there.
    MissingField,
    /// Two fields would have the same name in the result.
    NameConflict,
    /// A sealed field that was changed after it was written.
    NotAuthentic,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// A value that the protection cannot work on.
    Protection,
    /// Arrays and objects nested deeper than the limit.
    TooDeep,
    /// More bytes than the limit.
    TooLarge,
    /// A text with more characters than the policy or the column allows.
    TooLong,
    /// The sink has no place for a field of that name.
    UnknownColumn,
    /// A field that the policy does not list, where `unlisted: reject` stands.
    UnlistedField,
    /// The rest of a file or object cannot be read: damaged, changed, gone.
    Unreadable,
    /// A number or text that the sink's type cannot hold without changing it.
    Unrepresentable,
    /// A value of another type than the policy says.
    WrongType,
}

impl RecordErrorKind {
    /// The reason in words, as dead letters show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked by policy",
            Self::Database => "refused by the database",
            Self::DuplicateKey => "duplicate key",
            Self::InvalidDate => "invalid date",
            Self::Internal => "internal error",
            Self::InvalidFormat => "invalid format",
            Self::Key => "key not available",
            Self::LoneSurrogate => "lone surrogate",
            Self::MissingField => "missing field",
            Self::NameConflict => "name conflict",
            Self::NotAuthentic => "not authentic",
            Self::NotUtf8 => "not UTF-8",
            Self::Protection => "protection failed",
            Self::TooDeep => "nested too deep",
            Self::TooLarge => "record too large",
            Self::TooLong => "text too long",
            Self::UnknownColumn => "unknown column",
            Self::UnlistedField => "unlisted field",
            Self::Unreadable => "source cannot be read",
            Self::Unrepresentable => "value cannot be kept exactly",
            Self::WrongType => "wrong type",
        }
    }
}

impl fmt::Display for RecordErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Why one record was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// The reason.
    pub kind: RecordErrorKind,
    /// The field, when one can be named. Made by [`safe_path`] where it came from data.
    pub path: Option<String>,
    /// More about it: limits, byte positions, SQLSTATEs. Never a value.
    pub detail: Cow<'static, str>,
}

impl RecordError {
    /// A reason without a field.
    pub fn new(kind: RecordErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, path: None, detail: detail.into() }
    }

    /// A reason at a field.
    pub fn at(kind: RecordErrorKind, path: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, path: Some(path.into()), detail: detail.into() }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(formatter)?;
        if let Some(path) = &self.path {
            write!(formatter, ": {path}")?;
        }
        if !self.detail.is_empty() {
            write!(formatter, " ({})", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for RecordError {}

/// A field path that came from data, made fit to be printed.
///
/// Field names are not values, yet a record may use an e-mail address or an account number as a key.
/// A segment is shown only when it looks like a name that a programmer gave: letters, underscores,
/// hyphens and at most three digits in a row; the first that does not ends the path as `?`.
#[must_use]
pub fn safe_path(path: &str) -> String {
    let mut shown = String::new();
    for (index, segment) in path.split('.').enumerate() {
        if index > 0 {
            shown.push('.');
        }
        let (name, suffix) = segment.find('[').map_or((segment, ""), |at| segment.split_at(at));
        let indexes_only = suffix.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'[' | b']' | b'*'));
        if is_identifier(name) && indexes_only {
            shown.push_str(segment);
        } else {
            // A key may hold dots itself, so nothing after it is known to be another segment.
            shown.push('?');
            break;
        }
    }
    shown
}

fn is_identifier(name: &str) -> bool {
    let mut digits_in_a_row = 0;
    name.len() <= 63
        && name.bytes().enumerate().all(|(index, b)| {
            digits_in_a_row = if b.is_ascii_digit() { digits_in_a_row + 1 } else { 0 };
            digits_in_a_row <= 3
                && (b.is_ascii_alphabetic() || b == b'_' || (index > 0 && (b.is_ascii_digit() || b == b'-')))
        })
}

/// What is wrong with a policy, and where in its file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PolicyError {
    /// The reason and what to do, with the nearest valid word where there is one.
    pub message: String,
    /// Where it stands in the file, when known.
    pub at: Option<crate::located::Position>,
}

impl PolicyError {
    /// A reason at a place in the file.
    pub fn new(at: Option<crate::located::Position>, message: impl Into<String>) -> Self {
        Self { message: message.into(), at }
    }
}

/// `; did you mean "…"?` for the nearest valid word, or nothing when none is near.
#[must_use]
pub fn did_you_mean<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, valid).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// The valid word nearest to a misspelt one, when it is near enough to be meant.
#[must_use]
pub fn nearest<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    valid
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_from_data_are_shown_only_when_they_look_like_names() {
        assert_eq!(safe_path("user.home-address[3].line_1"), "user.home-address[3].line_1");
        assert_eq!(safe_path("alice@example.com"), "?");
        assert_eq!(safe_path("accounts.4111111111111111"), "accounts.?");
        assert_eq!(safe_path("a[0]b"), "?");
    }

    #[test]
    fn the_nearest_word_is_offered_when_it_is_near() {
        assert_eq!(nearest("hmca", ["hmac", "mask", "hash"]), Some("hmac"));
        assert_eq!(nearest("zebra", ["hmac", "mask"]), None);
    }
}
