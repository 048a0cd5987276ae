//! The journal beside a file: `NAME.cloakroom`, one line for each commit.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use serde::{Deserialize, Serialize};

/// What the journal says.
#[derive(Default)]
pub(super) struct Journal {
    /// Bytes of the journal itself.
    pub(super) own_length: u64,
    /// Its last line.
    pub(super) last: Entry,
    pub(super) positions: HashMap<String, String>,
    pub(super) ids: HashSet<String>,
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
    with_ending(path, "cloakroom")
}

/// A path with one more ending.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Opens the journal of a file, reads it, and cuts off a line that was not finished.
pub(super) fn open(path: &Path) -> Result<(File, Journal), ConnectorError> {
    let own_path = beside(path);
    let io_error = |error: io::Error| ConnectorError::io(own_path.display(), &error);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&own_path).map_err(io_error)?;
    if file.try_lock().is_err() {
        return Err(ConnectorError::new(ErrorKind::Conflict, format!("{}: another run is writing it", path.display())));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(io_error)?;
    let mut journal = Journal::default();
    for line in text.split_inclusive('\n') {
        // A line without its end was being written when the program died: its commit did not happen.
        let Some(mut entry) = line.strip_suffix('\n').and_then(|line| serde_json::from_str::<Entry>(line).ok()) else {
            break;
        };
        journal.own_length += line.len() as u64;
        journal.positions.extend(entry.position.take());
        journal.ids.extend(std::mem::take(&mut entry.ids));
        journal.last = entry;
    }
    file.set_len(journal.own_length).map_err(io_error)?;
    Ok((file, journal))
}

/// Writes a line at its place, so that a second try does not stand behind half of the first; durable. Gives the
/// journal's new length.
pub(super) fn append(journal: &mut File, own_length: u64, entry: &Entry) -> io::Result<u64> {
    let mut line = serde_json::to_vec(entry).map_err(io::Error::other)?;
    line.push(b'\n');
    journal.set_len(own_length)?;
    journal.seek(SeekFrom::Start(own_length))?;
    journal.write_all(&line)?;
    journal.sync_data()?;
    Ok(own_length + line.len() as u64)
}
