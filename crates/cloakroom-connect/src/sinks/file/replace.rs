//! A file that is written in one piece: it is `NAME.partial` until it is complete, and then takes the place of what was
//! there. A run that fails leaves what was there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloakroom_pipeline::error::{ConnectorError, ErrorKind};

use super::{disk, journal};
use crate::sinks::text::Layout;

/// The file, and what stands for it until it is complete.
pub(super) struct Replaced {
    path: PathBuf,
    layout: Arc<Layout>,
    /// Locked while it is open: two runs would write through each other.
    partial: Option<File>,
    /// Bytes of it that count.
    length: u64,
}

impl Replaced {
    pub(super) fn new(path: PathBuf, layout: Arc<Layout>) -> Self {
        Self { path, layout, partial: None, length: 0 }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn open(&mut self) -> Result<(), ConnectorError> {
        // A second try must not meet the first one's lock.
        self.partial = None;
        let beside = journal::beside(&self.path);
        if beside.exists() && !self.path.exists() {
            return Err(ConnectorError::configuration(format!(
                "{} is the journal of files in parts, or of one that is gone, and would be lost: name another `path`, or move \
                 the journal away",
                beside.display()
            )));
        }
        self.partial = Some(disk::open_alone(&self.partial_path(), &self.path)?);
        self.length = 0;
        Ok(())
    }

    /// Adds a batch.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), ConnectorError> {
        let Some(file) = &mut self.partial else {
            return Err(ConnectorError::new(ErrorKind::Internal, format!("{}: not open", self.path.display())));
        };
        disk::write_at(file, self.length, bytes).map_err(|error| ConnectorError::io(self.path.display(), &error))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Adds what ends the file, and brings it to its place.
    pub(super) fn finish(&mut self, end: &[u8]) -> Result<(), ConnectorError> {
        self.bring(end).map_err(|error| ConnectorError::io(self.path.display(), &error))
    }

    fn bring(&mut self, end: &[u8]) -> io::Result<()> {
        let partial = self.partial_path();
        let Some(file) = &mut self.partial else { return Ok(()) };
        disk::write_at(file, self.length, end)?;
        file.sync_all()?;
        // It tells of what was there: a run that appends would cut this file to that one's length.
        match fs::remove_file(journal::beside(&self.path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match self.layout.parquet() {
            // Not by way of the partial file's name: it would be there without its lock for a moment.
            Some(columns) => {
                columns.convert(&partial, &self.path)?;
                fs::remove_file(&partial)?;
            }
            None => fs::rename(&partial, &self.path)?,
        }
        self.partial = None;
        disk::sync_folder(&self.path)
    }

    fn partial_path(&self) -> PathBuf {
        disk::with_ending(&self.path, "partial")
    }
}

impl Drop for Replaced {
    /// A file that was not completed does not stay.
    fn drop(&mut self) {
        if self.partial.is_some() {
            let _ = fs::remove_file(self.partial_path());
        }
    }
}
