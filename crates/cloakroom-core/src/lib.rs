//! The heart of Cloakroom: records, policies, detection and protection. Synchronous; no I/O, no clock,
//! no environment, no network.
//!
//! A record's way through this crate, top to bottom:
//!
//! ```text
//! Payload ──decode──▶ Record ──Cloak::apply──▶ ProtectedRecord ──encode──▶ bytes for a sink
//!                                  │
//!                    Policy (compiled once): required fields → types and dates
//!                                  → protections by path → detection where no rule looks
//! ```
//!
//! Whatever goes wrong gives a [`RecordError`] and no record.

pub mod decode;
pub mod eax_scrypt;
pub mod encode;
pub mod error;
pub mod finding;
pub mod keys;
pub mod located;
pub mod path;
pub mod policy;
pub mod protect;
pub mod tokens;
pub mod value;

pub mod dates;

mod cloak;
pub mod detect;
mod record;
pub mod reveal;

pub use cloak::{Begun, Cloak, How, Spotted, Treated};
pub use compact_str::CompactString;
pub use dates::IngestTime;
pub use decode::{Format, Limits, Payload};
pub use error::{PolicyError, RecordError, RecordErrorKind};
pub use finding::Finding;
pub use policy::{Policy, PolicyConfig};
pub use record::{Place, ProtectedRecord, Record, RecordId};
pub use value::{Number, Object, Value};
