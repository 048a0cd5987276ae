//! What travels: the raw record, its identity, and the protected record that a sink accepts.

use std::fmt;
use std::sync::Arc;

use crate::finding::Finding;
use crate::value::{Object, Value};

/// Where a record came from. A redelivery of the same record has the same id, which is what makes
/// delivery effectively once: sinks and dead letters recognise it.
///
/// Neither part holds content: a partition is a file, a shard or an endpoint; a position is an offset,
/// a line, a sequence number, a message id or a keyed fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId {
    /// File, object, shard, queue or endpoint.
    pub partition: Arc<str>,
    /// Place inside it.
    pub position: Place,
}

/// A record's place inside its partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Byte offset of the record, and its number counted from one as people count lines.
    Offset {
        /// Bytes before it.
        byte: u64,
        /// Line, row or element number.
        number: u64,
    },
    /// A message id, or a keyed fingerprint where the source gives no id.
    Id(Arc<str>),
}

impl fmt::Display for RecordId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.position {
            Place::Offset { number, .. } => write!(formatter, "{}:{number}", self.partition),
            Place::Id(id) => write!(formatter, "{}#{id}", self.partition),
        }
    }
}

/// A decoded record before any protection. It has no `Debug` and no `Serialize`: it cannot be logged,
/// and nothing but [`crate::Cloak::apply`] turns it into something that a sink accepts.
pub struct Record {
    /// Where it came from.
    pub id: RecordId,
    /// Its content.
    pub content: Object,
}

/// A record after its policy was applied in full. The only type that a sink accepts, and only
/// [`crate::Cloak::apply`] makes one, so a raw record cannot be written by mistake.
///
/// ```compile_fail
/// // The fields are private: nobody else can make one.
/// let forged = cloakroom_core::ProtectedRecord { id: todo!(), content: todo!(), findings: todo!() };
/// ```
///
/// ```compile_fail
/// fn cannot_be_printed(record: &cloakroom_core::Record) { println!("{record:?}"); }
/// ```
#[derive(Clone)]
pub struct ProtectedRecord {
    id: RecordId,
    content: Object,
    findings: Vec<Finding>,
}

impl ProtectedRecord {
    /// Only the cloak calls this, after every rule has succeeded.
    pub(crate) fn new(id: RecordId, content: Object, findings: Vec<Finding>) -> Self {
        Self { id, content, findings }
    }

    /// Where it came from.
    #[must_use]
    pub fn id(&self) -> &RecordId {
        &self.id
    }

    /// Its protected content.
    #[must_use]
    pub fn content(&self) -> &Object {
        &self.content
    }

    /// What was found in it: positions in the original text, never values.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Appends the record as one line of JSON without the line end.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        crate::encode::write_object(&self.content, out);
    }

    /// The member of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.content.get(name)
    }
}
