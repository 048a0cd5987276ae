//! The audit log: who did what, why, to whose data and with what outcome; no values.
//!
//! ```text
//! audit.jsonl   {"seq":1,…,"mac":M1}   {"seq":2,…,"mac":M2}   …      M(n) = HMAC(key, M(n-1) ‖ line n)
//! audit.head    where the chain ends, with a MAC of its own: lines cut off at the end are missed
//! checkpoints   every 1,000 lines, signed (Ed25519): kept elsewhere, they find a log that was rolled back
//! ```
//!
//! [`AuditLog::append`] returns when the line is on disk, so what needs an event is done after it.
//! [`verify`](verify()) reads a log from its beginning and names the first line that is not as it was
//! written. All calls block: from async code, use `tokio::task::spawn_blocking`.

mod chain;
mod checkpoint;
mod event;
mod head;
mod line;
mod log;
mod verify;

use std::path::{Path, PathBuf};

pub use checkpoint::{Checkpoint, Signed};
pub use event::{Action, AuditText, Event, Level, Outcome, Refusal, RequestId, Subject};
pub use line::{Entry, checkpoints, entries};
pub use log::{AuditLog, Bookmark, CHECKPOINT_EVERY, Position, audit_keys};
pub use verify::{Fault, FaultKind, Report, Trust, verify};

/// The default log: `audit.jsonl` in Cloakroom's [home](crate::keys::home).
#[must_use]
pub fn default_file() -> PathBuf {
    crate::keys::home().join("audit.jsonl")
}

/// The head file of a log: beside it, `audit.head` for `audit.jsonl`.
#[must_use]
pub fn head_file(log: &Path) -> PathBuf {
    log.with_extension("head")
}

#[cfg(test)]
mod tests;
