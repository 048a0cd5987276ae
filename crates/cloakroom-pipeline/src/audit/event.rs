//! What can be written into the audit log. Nothing here can hold a value of a record, but for what a
//! person writes into a reason.

use std::fmt;

use cloakroom_core::error::safe_path;
use cloakroom_core::policy::RevealLevel;

use crate::error::ConnectorError;

/// Who, a purpose, or a reason: at most 512 bytes, and nothing that moves a terminal's cursor or turns
/// the direction of writing.
///
/// It is stored as given. Whoever writes a value into a reason has put it into the log.
#[derive(Clone, PartialEq, Eq)]
pub struct AuditText(String);

impl AuditText {
    /// The most bytes.
    pub const MAX_BYTES: usize = 512;

    /// Takes a text; `what` names it in errors.
    ///
    /// # Errors
    /// When it is empty, too long, or holds control characters.
    pub fn new(what: &str, text: &str) -> Result<Self, ConnectorError> {
        let text = text.trim();
        let why = if text.is_empty() {
            "is empty; say it in a few words".to_owned()
        } else if text.len() > Self::MAX_BYTES {
            format!("is longer than {} bytes; say it in fewer words", Self::MAX_BYTES)
        } else if text.contains(moves_text) {
            "holds control characters; write plain text on one line".to_owned()
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(ConnectorError::configuration(format!("the {what} {why}")))
    }

    /// Of this program itself, for lines that it writes on its own.
    pub(super) fn own() -> Self {
        Self("cloakroom".to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters, line ends of Unicode, and what turns the direction of writing (Unicode UAX 9).
fn moves_text(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A subject's pseudonym in the log, made by [`AuditLog::subject`](super::AuditLog::subject) only: the
/// subject itself cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject(pub(super) String);

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Names one request for another person's agreement; random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(u128);

impl RequestId {
    /// One that no other request has.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Reads 32 hexadecimal digits; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = Self(u128::from_str_radix(text, 16).ok()?);
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

/// What was done, or asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// The first line of a log. Written by the log itself.
    Begin,
    /// A signed checkpoint. Written by the log itself.
    Checkpoint,
    /// A line that a crash had torn was moved aside. Written by the log itself.
    Recovered,
    /// Values were opened.
    Reveal,
    /// Somebody asked for another person's agreement to a reveal.
    Request,
    /// What another person agreed to begins.
    Approved,
    /// Keys of a subject were destroyed.
    Erase,
    /// A new key version took the place of the active one.
    Rotate,
    /// Keys were wrapped again under another key.
    Rewrap,
    /// Values were encrypted again under another key.
    Reencrypt,
    /// Keys or data left the program.
    Export,
    /// Data of another system's format was taken over.
    Migrate,
    /// A key ring was made.
    KeysInit,
}

impl Action {
    /// The word in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Checkpoint => "checkpoint",
            Self::Recovered => "recovered",
            Self::Reveal => "reveal",
            Self::Request => "request",
            Self::Approved => "approved",
            Self::Erase => "erase",
            Self::Rotate => "rotate",
            Self::Rewrap => "rewrap",
            Self::Reencrypt => "reencrypt",
            Self::Export => "export",
            Self::Migrate => "migrate",
            Self::KeysInit => "keys-init",
        }
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, or is done right after the event is on disk.
    Allowed,
    /// It was not done, by decision.
    Refused(Refusal),
    /// It was allowed and did not work.
    Failed,
}

impl Outcome {
    /// `allowed`, `refused` or `failed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused(_) => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// No reason was given.
    NoReason,
    /// No purpose was given, or one that is not allowed.
    NoPurpose,
    /// The principal may not do this.
    NoRight,
    /// Too often, or too many subjects in a time.
    RateLimited,
    /// A second person must agree and has not, or to something else, or it was used before.
    NoApproval,
    /// The keys of the subject were destroyed.
    Erased,
    /// The key ring has no such key.
    UnknownKey,
    /// There is no such record or subject.
    NotFound,
    /// The value does not open: changed, or of another place.
    NotAuthentic,
}

impl Refusal {
    /// The word in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoReason => "no_reason",
            Self::NoPurpose => "no_purpose",
            Self::NoRight => "no_right",
            Self::RateLimited => "rate_limited",
            Self::NoApproval => "no_approval",
            Self::Erased => "erased",
            Self::UnknownKey => "unknown_key",
            Self::NotFound => "not_found",
            Self::NotAuthentic => "not_authentic",
        }
    }
}

/// How much of a value was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Its masked form.
    Masked,
    /// All of it.
    Full,
}

impl Level {
    /// `masked` or `full`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Masked => "masked",
            Self::Full => "full",
        }
    }
}

impl From<RevealLevel> for Level {
    fn from(level: RevealLevel) -> Self {
        match level {
            RevealLevel::Masked => Self::Masked,
            RevealLevel::Full => Self::Full,
        }
    }
}

/// One event, before it has a place in the log.
#[derive(Clone)]
pub struct Event {
    pub(super) principal: AuditText,
    pub(super) action: Action,
    pub(super) outcome: Outcome,
    pub(super) purpose: Option<AuditText>,
    pub(super) reason: Option<AuditText>,
    pub(super) path: Vec<String>,
    pub(super) subject: Option<Subject>,
    pub(super) count: u64,
    pub(super) level: Option<Level>,
    pub(super) request: Option<String>,
    pub(super) approver: Option<AuditText>,
}

impl Event {
    /// Somebody did something, or was refused it.
    #[must_use]
    pub fn new(principal: AuditText, action: Action, outcome: Outcome) -> Self {
        Self {
            principal,
            action,
            outcome,
            purpose: None,
            reason: None,
            path: Vec::new(),
            subject: None,
            count: 0,
            level: None,
            request: None,
            approver: None,
        }
    }

    /// What for: one of the purposes that rules speak about.
    #[must_use]
    pub fn purpose(self, purpose: AuditText) -> Self {
        Self { purpose: Some(purpose), ..self }
    }

    /// Why, in the principal's words.
    #[must_use]
    pub fn reason(self, reason: AuditText) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// Which fields or classes. A path with a name that no programmer gave ends in `?`: names of members
    /// can be values.
    #[must_use]
    pub fn paths<P: AsRef<str>>(self, paths: impl IntoIterator<Item = P>) -> Self {
        Self { path: paths.into_iter().map(|path| shown_path(path.as_ref())).collect(), ..self }
    }

    /// Whose data.
    #[must_use]
    pub fn subject(self, subject: Subject) -> Self {
        Self { subject: Some(subject), ..self }
    }

    /// How many values, records or keys.
    #[must_use]
    pub fn count(self, count: u64) -> Self {
        Self { count, ..self }
    }

    /// Which request for agreement it belongs to.
    #[must_use]
    pub fn request(self, id: RequestId) -> Self {
        Self { request: Some(id.to_string()), ..self }
    }

    /// Who agreed.
    #[must_use]
    pub fn approver(self, name: AuditText) -> Self {
        Self { approver: Some(name), ..self }
    }

    /// Whose values were shown and how many, when it says that some were.
    pub(crate) fn seen(&self) -> Option<(Option<String>, u64)> {
        let is_seen = self.action == Action::Reveal && self.outcome == Outcome::Allowed;
        is_seen.then(|| (self.subject.as_ref().map(|subject| subject.0.clone()), self.count))
    }

    /// How much was shown.
    #[must_use]
    pub fn level(self, level: Level) -> Self {
        Self { level: Some(level), ..self }
    }
}

/// As [`safe_path`], with the `*` of patterns in policies.
fn shown_path(path: &str) -> String {
    let stars_are_names: Vec<&str> = path.split('.').map(|part| if part == "*" { "x" } else { part }).collect();
    let joined = stars_are_names.join(".");
    if safe_path(&joined) == joined { path.to_owned() } else { safe_path(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_short_and_plain() {
        assert_eq!(AuditText::new("reason", " ticket 42, é ").unwrap().as_str(), "ticket 42, é");
        for bad in ["", "  ", "a\nb", "\u{1b}[2J", "a\u{202e}b", "a\u{2028}b", &"x".repeat(513)] {
            let error = AuditText::new("reason", bad).err().unwrap();
            assert!(error.message.starts_with("the reason "), "{}", error.message);
        }
    }

    #[test]
    fn paths_hold_no_values() {
        let paths = ["cards[*].number", "*.ssn", "address.city", "by_mail.jo@mail.example", "CREDIT_CARD"];
        let event = Event::new(AuditText::own(), Action::Reveal, Outcome::Allowed).paths(paths);
        assert_eq!(event.path, ["cards[*].number", "*.ssn", "address.city", "by_mail.?", "CREDIT_CARD"]);
    }
}
