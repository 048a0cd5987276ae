//! Errors of connectors, state and keys: a small kind that decides what happens, and a text for people.
//!
//! The text never holds a value. Messages of databases and services that echo values are rewritten
//! before they become one of these.

use std::fmt;
use std::time::Duration;

/// What kind of error it is: decides about retry and exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for cannot be right: a missing table, an unknown host name, a wrong path.
    Configuration,
    /// An environment variable that the pipeline file names is not set.
    Unset,
    /// The other side said no: wrong password, missing permission.
    Denied,
    /// Not reachable, restarting, overloaded, timed out, deadlocked: worth another try.
    Unavailable,
    /// Someone else changed what we hold: two runs of one pipeline.
    Conflict,
    /// The other side answers what it should not, or data at rest is damaged.
    Corrupt,
    /// A mistake of this program.
    Internal,
}

impl ErrorKind {
    /// True when the same call may succeed later.
    #[must_use]
    pub fn is_transient(self) -> bool {
        self == Self::Unavailable
    }

    /// The exit code of a command that ends with it: 2 usage or configuration, 3 a dependency failed,
    /// 4 denied.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Configuration | Self::Unset => 2,
            Self::Unavailable | Self::Conflict | Self::Corrupt | Self::Internal => 3,
            Self::Denied => 4,
        }
    }
}

/// An error of a source, a sink, the state store or the keys.
#[derive(Clone, Debug)]
pub struct ConnectorError {
    /// Decides what happens.
    pub kind: ErrorKind,
    /// What happened and what to do, without values.
    pub message: String,
    /// How long the other side asks to wait before the next try.
    pub retry_after: Option<Duration>,
}

impl ConnectorError {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }

    /// A configuration error.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    /// An error worth another try.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Says what was being done: `postgres: …`.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// An input or output error on a file or stream. The operating system's texts hold no content.
    #[must_use]
    pub fn io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::NotFound | Io::IsADirectory | Io::NotADirectory | Io::InvalidInput => ErrorKind::Configuration,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::Denied,
            Io::InvalidData | Io::UnexpectedEof => ErrorKind::Corrupt,
            // Whoever read our output has gone; trying again will not bring them back.
            Io::BrokenPipe => ErrorKind::Conflict,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, format!("{what}: {}", describe_io(error)))
    }
}

/// The operating system's words for an error, or its kind where a library wrote a text of its own.
fn describe_io(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => std::io::Error::from_raw_os_error(code).to_string(),
        None => error.kind().to_string(),
    }
}

impl fmt::Display for ConnectorError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for ConnectorError {}

impl From<cloakroom_crypto::CryptoError> for ConnectorError {
    fn from(error: cloakroom_crypto::CryptoError) -> Self {
        Self::new(ErrorKind::Corrupt, error.to_string())
    }
}
