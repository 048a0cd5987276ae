//! A file that is appended to, and the journal that says how much of it counts.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloakroom_pipeline::error::{ConnectorError, ErrorKind};

use super::journal::{self, Entry, Journal};
use super::{Compression, disk};
use crate::sinks::text::Layout;

/// The file.
pub(super) struct Appended {
    path: PathBuf,
    layout: Arc<Layout>,
    compression: Compression,
    /// It and its journal.
    files: Option<(File, File)>,
    /// Bytes of each that count.
    length: u64,
    journal_length: u64,
    /// The journal says what this file's layout is.
    noted: bool,
}

impl Appended {
    pub(super) fn new(path: PathBuf, layout: Arc<Layout>, compression: Compression) -> Self {
        Self { path, layout, compression, files: None, length: 0, journal_length: 0, noted: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens file and journal, sees that records of this layout may follow, and cuts the file to what the journal says.
    pub(super) fn open(&mut self) -> Result<Journal, ConnectorError> {
        // A second try must not meet the first one's lock.
        self.files = None;
        let path = &self.path;
        let io_error = |error: io::Error| ConnectorError::io(path.display(), &error);
        let has_journal = journal::beside(path).exists();
        if path.exists() && !has_journal && fs::metadata(path).map_err(io_error)?.len() > 0 {
            return Err(ConnectorError::configuration(format!(
                "{} is there and has no journal beside it: it was not made by a pipeline; name another file, or write `replace: true`",
                path.display()
            )));
        }
        let (journal_file, journal) = journal::open(path)?;
        if journal.last.part.is_some() {
            return Err(ConnectorError::configuration(format!(
                "{} was written in parts: name another file, or go on with `rotate`",
                path.display()
            )));
        }
        let mut file = disk::open(path).map_err(io_error)?;
        if file.metadata().map_err(io_error)?.len() < journal.last.length {
            return Err(ConnectorError::new(
                ErrorKind::Corrupt,
                format!("{} is shorter than its journal says; somebody changed it", path.display()),
            ));
        }
        if journal.last.any && !self.is_of_this_layout(&mut file, journal.layout.as_ref()).map_err(io_error)? {
            return Err(ConnectorError::configuration(format!(
                "{} was begun in another format or with other columns, and rows of two kinds would stand in one file: name \
                 another `path`, or keep the policy as it was",
                path.display()
            )));
        }
        file.set_len(journal.last.length).map_err(io_error)?;
        (self.length, self.journal_length) = (journal.last.length, journal.own_length);
        self.noted = journal.layout.as_ref() == Some(&*self.layout);
        self.files = Some((file, journal_file));
        Ok(journal)
    }

    /// Whether a file with records is what this policy writes. Where the journal does not say what it is, because an older
    /// version wrote it, the header of a CSV does.
    fn is_of_this_layout(&self, file: &mut File, noted: Option<&Layout>) -> io::Result<bool> {
        if let Some(noted) = noted {
            return Ok(*noted == *self.layout);
        }
        let Some(header) = self.layout.header() else { return Ok(true) };
        let mut begins = Vec::new();
        self.compression.unpack(file)?.take(header.len() as u64).read_to_end(&mut begins)?;
        Ok(begins == header)
    }

    /// Adds a batch; durable, with its journal entry.
    pub(super) fn append(&mut self, bytes: &[u8], entry: &mut Entry) -> Result<(), ConnectorError> {
        let Some((file, journal)) = &mut self.files else {
            return Err(ConnectorError::new(ErrorKind::Internal, format!("{}: not open", self.path.display())));
        };
        entry.length = self.length + bytes.len() as u64;
        entry.layout = (!self.noted).then(|| (*self.layout).clone());
        // The data first, then the journal that makes it count.
        let written = disk::write_at(file, self.length, bytes)
            .and_then(|()| file.sync_data())
            .and_then(|()| journal::append(journal, self.journal_length, entry));
        self.journal_length = written.map_err(|error| ConnectorError::io(self.path.display(), &error))?;
        (self.length, self.noted) = (entry.length, true);
        Ok(())
    }

    /// Adds what ends the file. It does not count: the next run goes on before it.
    pub(super) fn finish(&mut self, end: &[u8]) -> Result<(), ConnectorError> {
        let Some((mut file, _)) = self.files.take() else { return Ok(()) };
        let done = disk::write_at(&mut file, self.length, end).and_then(|()| file.sync_data());
        done.map_err(|error| ConnectorError::io(self.path.display(), &error))
    }
}
