//! The journal beside a file: `NAME.cloakroom`, one line for each commit.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use serde::{Deserialize, Serialize};

use super::disk;
use crate::sinks::text::Layout;

/// What the journal says.
#[derive(Default)]
pub(super) struct Journal {
    /// Bytes of the journal itself.
    pub(super) own_length: u64,
    /// Its last line.
    pub(super) last: Entry,
    pub(super) positions: HashMap<String, String>,
    pub(super) ids: HashSet<String>,
    /// What the file, or the last part of it, holds. `None` where an older version wrote the journal.
    pub(super) layout: Option<Layout>,
}

/// One line of the journal.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Bytes of the file, or of its part, up to here.
    pub(super) length: u64,
    /// Records are in it: whether a separator or header is due.
    pub(super) any: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) ids: Vec<String>,
    /// The part that is being written, where the file has parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<Part>,
    /// What the file holds from here on, where that is not what the journal said before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) layout: Option<Layout>,
}

/// One part of a file, as the journal knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// From 1.
    pub(super) number: u64,
    pub(super) records: u64,
    /// When its first record came, in seconds since 1970.
    pub(super) since: u64,
    /// Nothing more comes: it is being brought, or was brought, to its name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) complete: bool,
}

/// Where the journal of a file stands.
pub(super) fn beside(path: &Path) -> PathBuf {
    disk::with_ending(path, "cloakroom")
}

/// Opens the journal of a file, reads it, and cuts off a line that was not finished.
///
/// A line that was finished and cannot be read is an error, and nothing is changed: what stands behind it was committed,
/// and so was the data that it speaks of.
pub(super) fn open(path: &Path) -> Result<(File, Journal), ConnectorError> {
    let own_path = beside(path);
    let io_error = |error: io::Error| ConnectorError::io(own_path.display(), &error);
    let mut file = disk::open(&own_path).map_err(io_error)?;
    disk::lock(&file, path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io_error)?;
    let mut journal = Journal::default();
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        // A line without its end was being written when the program died: its commit did not happen.
        let Some(text) = line.strip_suffix(b"\n") else { break };
        let mut entry: Entry = serde_json::from_slice(text).map_err(|_| unreadable(path, &own_path, index + 1))?;
        journal.own_length += line.len() as u64;
        journal.positions.extend(entry.position.take());
        journal.ids.extend(std::mem::take(&mut entry.ids));
        journal.layout = entry.layout.take().or(journal.layout);
        journal.last = entry;
    }
    file.set_len(journal.own_length).map_err(io_error)?;
    Ok((file, journal))
}

fn unreadable(path: &Path, own_path: &Path, line: usize) -> ConnectorError {
    ConnectorError::new(
        ErrorKind::Corrupt,
        format!(
            "{}: line {line} cannot be read: the journal was damaged, changed by hand, or written by a newer version. Nothing \
             was changed. Bring it and {} back from one copy, or name another `path` and begin anew",
            own_path.display(),
            path.display()
        ),
    )
}

/// Writes a line at its place, so that a second try does not stand behind half of the first; durable. Gives the
/// journal's new length.
pub(super) fn append(journal: &mut File, own_length: u64, entry: &Entry) -> io::Result<u64> {
    let mut line = serde_json::to_vec(entry).map_err(io::Error::other)?;
    line.push(b'\n');
    disk::write_at(journal, own_length, &line)?;
    journal.sync_data()?;
    Ok(own_length + line.len() as u64)
}
