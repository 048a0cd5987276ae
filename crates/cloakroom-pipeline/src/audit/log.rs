//! Appending: one process after the other, on disk before it returns.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloakroom_core::IngestTime;
use cloakroom_crypto::audit::push_text;
use cloakroom_crypto::{AuditKey, KeyId, KeyRing};
use serde::Serialize;

use super::chain::Chain;
use super::checkpoint::Checkpoint;
use super::event::{Action, AuditText, Event, Outcome, Subject};
use super::head::{Head, Problem};
use super::line::{self, Entry};
use crate::error::{ConnectorError, ErrorKind};
use crate::private;

/// Lines between two checkpoints that the log writes on its own.
pub const CHECKPOINT_EVERY: u64 = 1_000;

/// What a crash may leave behind the end that the head file knows: one call's lines. More is no crash.
const MAX_TAIL: u64 = 64 * 1024 * 1024;

/// Where an event stands: for receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// The random name of the log.
    pub log: String,
    /// The line's number.
    pub seq: u64,
    /// Its time, RFC 3339.
    pub time: String,
    /// The key version of its MAC.
    pub kid: KeyId,
    /// Its MAC, base64url.
    pub mac: String,
}

/// An audit log that is appended to. Holds no lock and no open file between two calls, so several may
/// exist for one file, in one process or in many.
pub struct AuditLog {
    path: PathBuf,
    head: PathBuf,
    /// The active key first.
    keys: Vec<AuditKey>,
    active: KeyId,
    clock: Arc<dyn Fn() -> IngestTime + Send + Sync>,
    checkpoint_every: u64,
}

impl AuditLog {
    /// A log at `path`, which the first event makes. Reads nothing yet.
    ///
    /// # Errors
    /// When the ring cannot give its keys, or `path` is the name of a head file.
    pub fn open(
        path: impl Into<PathBuf>,
        ring: &KeyRing,
        clock: impl Fn() -> IngestTime + Send + Sync + 'static,
    ) -> Result<Self, ConnectorError> {
        let path = path.into();
        let head = super::head_file(&path);
        if head == path {
            return Err(ConnectorError::configuration("an audit log's name must not end in .head"));
        }
        let keys = audit_keys(ring)?;
        let active = *ring.active_kid();
        Ok(Self { path, head, keys, active, clock: Arc::new(clock), checkpoint_every: CHECKPOINT_EVERY })
    }

    /// Another distance of checkpoints.
    #[must_use]
    pub fn with_checkpoint_every(self, lines: u64) -> Self {
        Self { checkpoint_every: lines.max(1), ..self }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A subject's pseudonym in this log.
    ///
    /// # Errors
    /// When the active key is not at hand; that is a mistake of this program.
    pub fn subject(&self, subject: &str) -> Result<Subject, ConnectorError> {
        let mut text = String::new();
        self.active()?.subject(subject, &mut text);
        Ok(Subject(text))
    }

    /// Appends one event. When it returns, the line is on disk. Blocks; waits for other processes.
    ///
    /// # Errors
    /// When the file cannot be written, others can read it, the last line was made with a key that the
    /// ring does not have, or the end of the log is not as it was left. Then what the event speaks of
    /// must not be done.
    pub fn append(&self, event: &Event) -> Result<Position, ConnectorError> {
        let positions = self.append_all(std::slice::from_ref(event))?;
        positions.into_iter().next().ok_or_else(|| ConnectorError::new(ErrorKind::Internal, "audit log: no position"))
    }

    /// Appends several events, with one wait for the disk.
    ///
    /// # Errors
    /// As [`Self::append`]. After an error none of them counts as written.
    pub fn append_all(&self, events: &[Event]) -> Result<Vec<Position>, ConnectorError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let mut writer = self.writer()?;
        let positions = writer.events(events)?;
        writer.finish()?;
        Ok(positions)
    }

    /// Appends the events that `decide` gives when it knows what was put on record since a moment; nobody can append
    /// anything between the two. Returns what it gives besides, and from where on a later call need not look again.
    ///
    /// # Errors
    /// As [`Self::append`], and when a line cannot be read.
    pub fn append_after<T>(
        &self,
        since: &Bookmark,
        decide: impl FnOnce(&[Entry]) -> (Vec<Event>, T),
    ) -> Result<(T, Bookmark), ConnectorError> {
        let mut writer = self.writer()?;
        let recent = writer.since(since)?;
        let (events, result) = decide(&recent);
        writer.events(&events)?;
        let end = writer.head.bytes + writer.text.len() as u64;
        let bookmark = Bookmark::End { log: writer.head.log.clone(), bytes: end };
        if events.is_empty() {
            return Ok((result, bookmark));
        }
        writer.finish()?;
        Ok((result, bookmark))
    }

    /// The present moment by the log's clock, some seconds ago.
    #[must_use]
    pub fn time(&self, seconds_ago: i64) -> String {
        (self.clock)().minus_seconds(seconds_ago).timestamp()
    }

    /// Appends a checkpoint now and gives it, to be kept elsewhere.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn checkpoint(&self, principal: AuditText) -> Result<Checkpoint, ConnectorError> {
        let mut writer = self.writer()?;
        let checkpoint = writer.checkpoint(principal)?;
        writer.finish()?;
        Ok(checkpoint)
    }

    fn active(&self) -> Result<&AuditKey, ConnectorError> {
        let key = self.keys.iter().find(|key| *key.kid() == self.active);
        key.ok_or_else(|| ConnectorError::new(ErrorKind::Internal, "audit log: the active key is not in the ring"))
    }

    /// Locks the log and finds its end.
    fn writer(&self) -> Result<Writer<'_>, ConnectorError> {
        let io = |error: io::Error| ConnectorError::io(format!("audit log {}", self.path.display()), &error);
        private::folder_of(&self.path)?;
        let key = self.active()?;
        let file = self.lock().map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        let length = metadata.len();
        private::check(&self.path, &metadata, "audit log")?;
        let head = match Head::read(&self.head, &self.keys) {
            Ok(head) => head,
            Err(Problem::Missing) if length == 0 => {
                // The head first: a log that was never begun and one that lost all lines must differ.
                let head = Head::start(random_name(), self.active);
                head.write(&self.head, key)?;
                private::sync_folder(&self.path).map_err(io)?;
                head
            }
            Err(problem) => return Err(problem.describe(&self.path)),
        };
        let mut writer = Writer { log: self, key, file, head, text: String::new() };
        writer.find_end(length)?;
        if writer.head.seq == 0 {
            writer.begin()?;
        }
        Ok(writer)
    }

    /// Opens and locks the file that has the log's name when the lock is there: while this process
    /// waited, somebody may have moved the log aside.
    fn lock(&self) -> io::Result<File> {
        loop {
            let mut options = fs::OpenOptions::new();
            options.read(true).append(true).create(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let file = options.open(&self.path)?;
            file.lock()?;
            if is_same_file(&file, &self.path) {
                return Ok(file);
            }
        }
    }
}

/// The audit keys of all versions of a ring, the active one first.
///
/// # Errors
/// When a key cannot be derived.
pub fn audit_keys(ring: &KeyRing) -> Result<Vec<AuditKey>, ConnectorError> {
    let keys: Result<Vec<_>, _> = ring.kids().map(|(kid, ..)| ring.audit_key_for(kid)).collect();
    Ok(keys?)
}

/// From where on [`AuditLog::append_after`] looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bookmark {
    /// From a time on, RFC 3339 in UTC.
    Time(String),
    /// From where an earlier call ended.
    End {
        /// The log's random name: another log is looked at from its beginning.
        log: String,
        /// Bytes before it.
        bytes: u64,
    },
}

/// What is read at once, from the end of the log backwards.
const BLOCK: u64 = 256 * 1024;

/// A log whose end is known, locked until this is dropped.
struct Writer<'a> {
    log: &'a AuditLog,
    key: &'a AuditKey,
    file: File,
    /// Where the chain ends with the lines of `text`.
    head: Head,
    /// Lines that are not written yet.
    text: String,
}

impl Writer<'_> {
    fn io(&self, error: &io::Error) -> ConnectorError {
        ConnectorError::io(format!("audit log {}", self.log.path.display()), error)
    }

    /// Holds the file's end against the head file, and takes in what a crash left behind it.
    fn find_end(&mut self, length: u64) -> Result<(), ConnectorError> {
        let path = &self.log.path;
        let known = self.head.bytes;
        if length < known {
            return Err(damaged(path, "lines are missing at its end"));
        }
        if known > 0 {
            let mut mac = String::new();
            push_text(&mut mac, &self.head.end);
            let expected = format!("{mac}\"}}\n");
            let begins = known.checked_sub(expected.len() as u64);
            let found = begins.map(|begins| read_at(&mut self.file, begins, expected.len()));
            match found {
                Some(Ok(found)) if found == expected.as_bytes() => {}
                Some(Err(error)) => return Err(self.io(&error)),
                _ => return Err(damaged(path, "its last line is not as it was written")),
            }
        }
        if length == known {
            return Ok(());
        }
        if length - known > MAX_TAIL {
            return Err(damaged(path, "it is much longer than its head file says"));
        }
        let tail = read_at(&mut self.file, known, usize::try_from(length - known).unwrap_or(0));
        let tail = tail.map_err(|error| self.io(&error))?;
        self.take_in(&tail)
    }

    /// Lines behind the head are of a call that never returned: a crash came between the log and its head
    /// file. Whole ones are good when the chain says so; a torn one goes aside.
    fn take_in(&mut self, tail: &[u8]) -> Result<(), ConnectorError> {
        let whole = tail.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let (lines, torn) = tail.split_at(whole);
        let mut chain = Chain::from_head(&self.log.keys, &self.head);
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if chain.step(line).is_err() {
                return Err(damaged(&self.log.path, &format!("line {} is not as it was written", chain.seq + 1)));
            }
        }
        let kid = chain.key().map_or(self.head.kid, |key| *key.kid());
        (self.head.seq, self.head.end, self.head.count, self.head.kid) = (chain.seq, chain.end, chain.since, kid);
        self.head.bytes += lines.len() as u64;
        if torn.is_empty() {
            return Ok(());
        }
        self.set_aside(torn).map_err(|error| self.io(&error))?;
        if self.head.seq == 0 {
            self.begin()?;
        }
        let event = Event::new(AuditText::own(), Action::Recovered, Outcome::Allowed).count(torn.len() as u64);
        self.event(&event).map(|_| ())
    }

    /// The entries from a place on, in their order.
    fn since(&mut self, bookmark: &Bookmark) -> Result<Vec<Entry>, ConnectorError> {
        let first = match bookmark {
            Bookmark::End { log, bytes } if *log == self.head.log => *bytes,
            _ => 0,
        };
        let mut entries = Vec::new();
        let mut begins = self.head.bytes;
        // What stands before the first line end of the blocks read so far.
        let mut rest = Vec::new();
        while begins > first {
            let length = BLOCK.min(begins - first);
            begins -= length;
            let block = read_at(&mut self.file, begins, usize::try_from(length).unwrap_or(0));
            let mut block = block.map_err(|error| self.io(&error))?;
            block.append(&mut rest);
            let whole_from = if begins == first {
                0
            } else {
                block.iter().position(|byte| *byte == b'\n').map_or(block.len(), |at| at + 1)
            };
            for line in block[whole_from..].split(|byte| *byte == b'\n').rev().filter(|line| !line.is_empty()) {
                let entry: Entry = serde_json::from_slice(line)
                    .map_err(|_| damaged(&self.log.path, "a line is not one of an audit log"))?;
                if matches!(bookmark, Bookmark::Time(time) if entry.time < *time) {
                    entries.reverse();
                    return Ok(entries);
                }
                entries.push(entry);
            }
            block.truncate(whole_from);
            rest = block;
        }
        entries.reverse();
        Ok(entries)
    }

    /// Keeps a torn line beside the log, and cuts it off.
    fn set_aside(&mut self, torn: &[u8]) -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        let mut aside = private::owned(options.append(true).create(true)).open(self.log.path.with_extension("torn"))?;
        aside.write_all(torn)?;
        aside.write_all(b"\n")?;
        aside.sync_all()?;
        self.file.set_len(self.head.bytes)
    }

    /// The first line: it names the log.
    fn begin(&mut self) -> Result<(), ConnectorError> {
        let event = Event::new(AuditText::own(), Action::Begin, Outcome::Allowed);
        let mut entry = self.entry(&event);
        entry.log = Some(self.head.log.clone());
        self.push(&entry).map(|_| ())
    }

    /// The events, with the checkpoints that come due between them.
    fn events(&mut self, events: &[Event]) -> Result<Vec<Position>, ConnectorError> {
        let mut positions = Vec::with_capacity(events.len());
        for event in events {
            positions.push(self.event(event)?);
            if self.head.count >= self.log.checkpoint_every {
                self.checkpoint(AuditText::own())?;
            }
        }
        Ok(positions)
    }

    fn event(&mut self, event: &Event) -> Result<Position, ConnectorError> {
        let entry = self.entry(event);
        self.push(&entry)
    }

    fn checkpoint(&mut self, principal: AuditText) -> Result<Checkpoint, ConnectorError> {
        let covered = self.head.count;
        let event = Event::new(principal, Action::Checkpoint, Outcome::Allowed).count(covered);
        let mut entry = self.entry(&event);
        let Head { log, seq, end, .. } = &self.head;
        let checkpoint = Checkpoint::sign(self.key, log, *seq, covered, &entry.time, end);
        entry.checkpoint = Some(checkpoint.signed());
        self.push(&entry)?;
        self.head.count = 0;
        Ok(checkpoint)
    }

    fn entry(&self, event: &Event) -> Entry {
        Entry::of(event, self.head.seq + 1, (self.log.clock)().timestamp(), self.key.kid().as_str())
    }

    fn push(&mut self, entry: &Entry) -> Result<Position, ConnectorError> {
        let (line, end) = line::sealed(entry, |covered| self.key.chain(&self.head.end, covered))?;
        if line.len() > line::MAX_LINE {
            return Err(ConnectorError::configuration("an audit event names too many paths; write several events"));
        }
        self.text.push_str(&line);
        self.text.push('\n');
        self.head.seq = entry.seq;
        self.head.count += 1;
        self.head.end = end;
        self.head.kid = *self.key.kid();
        let mut mac = String::new();
        push_text(&mut mac, &end);
        Ok(Position { log: self.head.log.clone(), seq: entry.seq, time: entry.time.clone(), kid: self.head.kid, mac })
    }

    /// Writes the lines, waits for the disk, and moves the head.
    fn finish(mut self) -> Result<(), ConnectorError> {
        let before = self.head.bytes;
        let written = self.file.write_all(self.text.as_bytes()).and_then(|()| self.file.sync_all());
        if let Err(error) = written {
            // Best effort: what stays is recognised as torn by the next append.
            let _ = self.file.set_len(before);
            return Err(self.io(&error));
        }
        self.head.bytes = before + self.text.len() as u64;
        self.head.write(&self.log.head, self.key)
    }
}

/// What every append says when the log is not as it was left.
pub(super) fn damaged(path: &Path, what: &str) -> ConnectorError {
    ConnectorError::new(
        ErrorKind::Corrupt,
        format!(
            "audit log {}: {what}; nothing was written. See `cloakroom audit verify`. To go on, move the log and its \
             head file aside together and keep them: a new log begins",
            path.display()
        ),
    )
}

fn read_at(file: &mut File, begins: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.seek(SeekFrom::Start(begins))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Thirty-two hexadecimal digits that no other log has.
fn random_name() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_same_file(_: &File, _: &Path) -> bool {
    true
}
