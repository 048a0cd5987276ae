//! A file in parts: each appears under its name, in one piece, when it is complete.
//!
//! ```text
//! logins-000001.jsonl            complete: flushed to disk, renamed, never touched again
//! logins-000002.jsonl.partial    being written
//! logins.jsonl.cloakroom         the journal of all parts
//! ```
//!
//! A part is completed in three steps: what ends it is written and flushed, the journal says that it is complete, it gets
//! its name. A run that dies between any of them leaves enough for the next one to go on: up to the second, the part
//! is cut to the journal's length and written further; after it, the part is completed again, or has its name already.
//!
//! A part holds records of one layout. The journal says of which, so that a part that was begun under another policy is
//! completed as that one would have done it, before anything of this one is written.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use schemars::JsonSchema;
use serde::Deserialize;

use super::journal::{self, Entry, Journal, Part};
use super::parquet::is_converted;
use super::{Compression, disk};
use crate::sinks::text::Layout;

/// How often a part's age is looked at.
const TICK: Duration = Duration::from_millis(500);

const FIRST: Part = Part { number: 1, records: 0, since: 0, complete: false };

/// When a part is complete: at the first of these limits. At least one is given. A run that ends completes its part.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// The most records of a part. A batch is never divided: where it alone holds more, it is a part of its own.
    #[schemars(range(min = 1))]
    pub records: Option<u64>,
    /// The most bytes of a part, as they stand in the file. A batch that alone has more is a part of its own.
    #[schemars(range(min = 1))]
    pub bytes: Option<u64>,
    /// Seconds from a part's first record to its completion, whether or not more records come.
    #[schemars(range(min = 1))]
    pub seconds: Option<u64>,
}

impl Rotate {
    pub(super) fn check(&self) -> Result<(), ConnectorError> {
        let limits = [self.records, self.bytes, self.seconds];
        if limits.contains(&Some(0)) || limits == [None; 3] {
            return Err(ConnectorError::configuration(
                "`rotate` needs one of `records`, `bytes` and `seconds`, and each is 1 or more",
            ));
        }
        Ok(())
    }
}

/// The parts of one file.
pub(super) struct Parts {
    /// As the policy names it: no file has this name.
    path: PathBuf,
    limits: Rotate,
    compression: Compression,
    /// What this policy writes.
    own: Arc<Layout>,
    /// What the part holds.
    layout: Arc<Layout>,
    /// What ends the part.
    end: Vec<u8>,
    journal: Option<File>,
    journal_length: u64,
    /// The journal says that the part is of this policy's layout.
    noted: bool,
    /// The part that is being written, once something of it was.
    file: Option<File>,
    length: u64,
    part: Part,
    /// What ends the part stands behind that length, on disk.
    ended: bool,
    /// A batch was encoded to follow what the part holds now: it may not be completed meanwhile.
    staged: bool,
}

pub(super) fn lock(parts: &Mutex<Parts>) -> MutexGuard<'_, Parts> {
    parts.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Parts {
    pub(super) fn new(path: PathBuf, limits: Rotate, layout: Arc<Layout>, compression: Compression) -> Self {
        Self {
            path,
            limits,
            compression,
            own: Arc::clone(&layout),
            layout,
            end: Vec::new(),
            journal: None,
            journal_length: 0,
            noted: false,
            file: None,
            length: 0,
            part: FIRST,
            ended: false,
            staged: false,
        }
    }

    /// Reads the journal, and brings what a run left behind to where the journal says it was. A part of another layout is
    /// completed, and so is one of which nobody knows.
    pub(super) fn open(&mut self) -> Result<Journal, ConnectorError> {
        // A second try must not meet the first one's lock.
        (self.file, self.journal) = (None, None);
        self.part = FIRST;
        let fresh = !journal::beside(&self.path).exists();
        if fresh && self.name().exists() {
            return Err(self.is_foreign());
        }
        let (file, journal) = journal::open(&self.path)?;
        if journal.last.part.is_none() && journal.last.length > 0 {
            return Err(ConnectorError::configuration(format!(
                "{} was written in one piece: name another file for parts, or leave `rotate` out",
                self.path.display()
            )));
        }
        (self.journal, self.journal_length) = (Some(file), journal.own_length);
        (self.length, self.ended, self.staged) = (journal.last.length, false, false);
        self.part = journal.last.part.unwrap_or(FIRST);
        self.noted = journal.layout.as_ref() == Some(&*self.own);
        self.follow(journal.layout.clone().map_or_else(|| Arc::clone(&self.own), Arc::new))?;
        self.settle()?;
        let partial = self.partial();
        let length = match fs::metadata(&partial) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(ConnectorError::io(partial.display(), &error)),
        };
        if length < self.length {
            return Err(ConnectorError::new(
                ErrorKind::Corrupt,
                format!("{} is shorter than its journal says; somebody changed it", partial.display()),
            ));
        }
        if !self.noted {
            self.complete()?;
        }
        self.follow(Arc::clone(&self.own))?;
        Ok(journal)
    }

    /// From now on the part holds this.
    fn follow(&mut self, layout: Arc<Layout>) -> Result<(), ConnectorError> {
        self.end =
            self.compression.pack(layout.end(true)).map_err(|error| ConnectorError::io("compressing", &error))?;
        self.layout = layout;
        Ok(())
    }

    /// Brings a part that is complete to its name, if there is one.
    fn settle(&mut self) -> Result<(), ConnectorError> {
        if !self.part.complete {
            return Ok(());
        }
        let (partial, name) = (self.partial(), self.name());
        if partial.exists() {
            if name.exists() {
                return Err(self.is_foreign());
            }
            self.finish(&partial).map_err(|error| self.unfinished(&error))?;
            // Not every system renames a file that is open.
            self.file = None;
            fs::rename(&partial, &name).map_err(|error| self.io(&error))?;
        }
        disk::sync_folder(&self.path).map_err(|error| self.io(&error))?;
        (self.file, self.length, self.ended) = (None, 0, false);
        self.part = Part { number: self.part.number + 1, ..FIRST };
        Ok(())
    }

    /// The part that is being written is complete, if it holds a record.
    fn complete(&mut self) -> Result<(), ConnectorError> {
        if self.part.records > 0 && !self.part.complete {
            let part = Part { complete: true, ..self.part };
            let entry = Entry { length: self.length, any: true, part: Some(part), ..Entry::default() };
            self.write_end().and_then(|()| self.note(&entry)).map_err(|error| self.io(&error))?;
            self.part = part;
        }
        self.settle()
    }

    /// Brings a complete part into the form that it is read in.
    fn finish(&mut self, partial: &Path) -> io::Result<()> {
        let layout = Arc::clone(&self.layout);
        let Some(columns) = layout.parquet() else { return self.write_end() };
        // A run that died may have come so far.
        if is_converted(partial)? {
            return Ok(());
        }
        self.write_end()?;
        self.file = None;
        columns.convert(partial, partial)
    }

    /// In the place of whatever a run that died wrote behind what counts.
    fn write_end(&mut self) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        let length = self.length;
        // Borrowed apart from the file.
        let end = std::mem::take(&mut self.end);
        let written = self.file().and_then(|file| {
            disk::write_at(file, length, &end)?;
            file.sync_all()
        });
        self.end = end;
        self.ended = written.is_ok();
        written
    }

    fn note(&mut self, entry: &Entry) -> io::Result<()> {
        let journal = self.journal.as_mut().ok_or_else(|| io::Error::other("not open"))?;
        self.journal_length = journal::append(journal, self.journal_length, entry)?;
        Ok(())
    }

    /// Before a batch is encoded: whether records stand before it in its part.
    pub(super) fn begin(&mut self) -> Result<bool, ConnectorError> {
        self.staged = false;
        self.settle()?;
        if self.is_old() {
            self.complete()?;
        }
        Ok(self.part.records > 0)
    }

    /// Whether so much more is to stand in a new part. The part then gets nothing more.
    pub(super) fn is_too_much(&self, records: u64, bytes: u64) -> bool {
        let beyond = |limit: Option<u64>, sum: u64| limit.is_some_and(|limit| sum > limit);
        let end = self.end.len() as u64;
        self.part.records > 0
            && records > 0
            && (beyond(self.limits.records, self.part.records + records)
                || beyond(self.limits.bytes, self.length + bytes + end))
    }

    pub(super) fn stage(&mut self) {
        self.staged = true;
    }

    /// Adds a batch with so many records, in a new part or in this one; durable, with its journal entry.
    pub(super) fn append(
        &mut self,
        bytes: &[u8],
        records: u64,
        in_new: bool,
        entry: &mut Entry,
    ) -> Result<(), ConnectorError> {
        if in_new {
            self.complete()?;
        }
        let mut part = Part { records: self.part.records + records, ..self.part };
        if self.part.records == 0 {
            part.since = now();
        }
        let length = self.length;
        self.ended = false;
        let written = self.file().and_then(|file| {
            disk::write_at(file, length, bytes)?;
            file.sync_data()
        });
        written.map_err(|error| self.io(&error))?;
        (entry.length, entry.any, entry.part) = (length + bytes.len() as u64, part.records > 0, Some(part));
        entry.layout = (!self.noted).then(|| (*self.own).clone());
        self.note(entry).map_err(|error| self.io(&error))?;
        (self.length, self.part, self.staged, self.noted) = (entry.length, part, false, true);
        if self.is_full() || self.is_old() {
            // The batch is committed, whatever becomes of this: it is tried again before the next one.
            let _ = self.complete();
        }
        Ok(())
    }

    /// Nothing more fits in.
    fn is_full(&self) -> bool {
        self.limits.records.is_some_and(|limit| self.part.records >= limit)
            || self.limits.bytes.is_some_and(|limit| self.length + self.end.len() as u64 >= limit)
    }

    fn is_old(&self) -> bool {
        let age = now().saturating_sub(self.part.since);
        self.part.records > 0 && self.limits.seconds.is_some_and(|limit| age >= limit)
    }

    /// Completes the last part.
    pub(super) fn close(&mut self) -> Result<(), ConnectorError> {
        self.staged = false;
        if self.journal.is_some() {
            self.complete()?;
            // A part without a record is none.
            let _ = fs::remove_file(self.partial());
        }
        (self.file, self.journal) = (None, None);
        Ok(())
    }

    /// Completes a part that is old enough while nothing comes.
    pub(super) fn watch(parts: &Arc<Mutex<Self>>) {
        if lock(parts).limits.seconds.is_none() {
            return;
        }
        let parts: Weak<Mutex<Self>> = Arc::downgrade(parts);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TICK).await;
                let Some(parts) = parts.upgrade() else { return };
                // Who holds the lock looks at the age, too.
                let due = match parts.try_lock() {
                    Ok(parts) if parts.journal.is_none() => return,
                    Ok(parts) => parts.is_old() && !parts.staged,
                    Err(_) => false,
                };
                if due {
                    let work = move || {
                        let mut parts = lock(&parts);
                        if parts.is_old() && !parts.staged && parts.journal.is_some() {
                            // What fails here is tried again, and told, with the next batch or at the end.
                            let _ = parts.complete();
                        }
                    };
                    let _ = tokio::task::spawn_blocking(work).await;
                }
            }
        });
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What `check` says of it.
    pub(super) fn describe(&self) -> String {
        format!("parts {} …, each when it is complete", self.name().display())
    }

    /// The name of the part that is being written, once it is complete.
    fn name(&self) -> PathBuf {
        numbered(&self.path, self.part.number)
    }

    fn partial(&self) -> PathBuf {
        disk::with_ending(&self.name(), "partial")
    }

    /// The part that is being written; made, and cut to what counts, when it is needed first.
    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            let file = disk::open(&self.partial())?;
            file.set_len(self.length)?;
            disk::sync_folder(&self.path)?;
            self.file = Some(file);
        }
        self.file.as_mut().ok_or_else(|| io::Error::other("not open"))
    }

    fn io(&self, error: &io::Error) -> ConnectorError {
        ConnectorError::io(self.partial().display(), error)
    }

    fn unfinished(&self, error: &io::Error) -> ConnectorError {
        match error.kind() {
            io::ErrorKind::InvalidData => ConnectorError::new(
                ErrorKind::Corrupt,
                format!(
                    "{} does not fit its columns: it was begun under another policy, or changed. Let one run with that policy \
                     finish it, or move it away (it holds JSON lines): the next run begins a new part",
                    self.partial().display()
                ),
            ),
            _ => self.io(error),
        }
    }

    fn is_foreign(&self) -> ConnectorError {
        ConnectorError::configuration(format!(
            "{} is there and was not made by this pipeline: name another file, or move it away",
            self.name().display()
        ))
    }
}

/// `logins.jsonl.gz` and 7: `logins-000007.jsonl.gz`.
fn numbered(path: &Path, number: u64) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let packed = [".gz", ".zst"].into_iter().find(|ending| name.ends_with(ending)).unwrap_or("");
    let plain = &name[..name.len() - packed.len()];
    let (stem, ending) = match plain.rfind('.') {
        Some(at) if at > 0 => plain.split_at(at),
        _ => (plain, ""),
    };
    path.with_file_name(format!("{stem}-{number:06}{ending}{packed}"))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_before_the_ending() {
        for (path, expected) in [
            ("out/logins.jsonl", "out/logins-000007.jsonl"),
            ("logins.jsonl.gz", "logins-000007.jsonl.gz"),
            ("a.b/logins", "a.b/logins-000007"),
            ("logins.2024.csv.zst", "logins.2024-000007.csv.zst"),
            (".hidden", ".hidden-000007"),
        ] {
            assert_eq!(numbered(Path::new(path), 7), Path::new(expected));
        }
        assert_eq!(numbered(Path::new("x.csv"), 1_234_567), Path::new("x-1234567.csv"));
    }

    #[test]
    fn a_limit_is_needed_and_is_no_zero() {
        let rotate = |records, bytes, seconds| Rotate { records, bytes, seconds }.check();
        assert!(rotate(Some(1), None, None).is_ok() && rotate(None, Some(1), Some(1)).is_ok());
        assert!(rotate(None, None, None).is_err() && rotate(Some(1), Some(0), None).is_err());
    }
}
