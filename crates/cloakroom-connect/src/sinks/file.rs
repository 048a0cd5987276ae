//! Files and standard output: JSON lines, a JSON array, CSV with a header, `key=value` blocks; plain,
//! gzip or zstd by the file's name; Parquet.
//!
//! A file remembers what it was given in a journal beside it (`NAME.cloakroom`): after each commit one
//! line with the file's length and the ledger entry. What stands in the file beyond the journal's last
//! length was written by a run that died before its commit, and is cut off. `parts.rs` is the same for a file
//! in parts.

mod journal;
mod parquet;
mod parts;

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::sink::{Ledger, RowOutcome, Sink, SinkBatch};
use cloakroom_pipeline::source::Progress;
use schemars::JsonSchema;
use serde::Deserialize;

use journal::{Entry, Journal};
use parts::{Parts, lock};

pub(super) use parquet::Columns;
pub use parts::Rotate;

use super::text::{Encoder, FileFormat};
use cloakroom_pipeline::context::SinkContext;

/// A file, or standard output.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file's name; `-` is standard output. Names that end in .gz and .zst are compressed.
    pub path: Template,
    /// How records are written.
    #[serde(default)]
    pub format: FileFormat,
    /// Write a new file in one piece: it appears under its name when it is complete, and replaces what
    /// was there. Without it records are appended, and a run that is repeated adds nothing.
    #[serde(default)]
    pub replace: bool,
    /// Write several files, numbered before the ending (`logins-000001.jsonl`): each appears under its name when it is
    /// complete, and is not touched afterwards.
    pub rotate: Option<Rotate>,
}

/// Builds the sink.
///
/// # Errors
/// When the name needs a variable that is not set, or the format needs columns that the policy does not name.
pub fn build(config: &Config, context: &SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
    let path = config.path.resolve_plain()?;
    let compression = match () {
        () if path.ends_with(".gz") => Compression::Gzip,
        () if path.ends_with(".zst") => Compression::Zstd,
        () => Compression::None,
    };
    let encoder = Arc::new(Encoder::new(config.format, &context.policy)?);
    if config.format == FileFormat::Parquet {
        let is_written_once = config.rotate.is_some() || config.replace;
        if !is_written_once || path == "-" || compression != Compression::None {
            return Err(ConnectorError::configuration(
                "a Parquet file cannot be appended to, and is compressed inside: set `rotate` or `replace: true`, and a \
                 `path` like `logins.parquet`",
            ));
        }
    }
    let target = match path.as_str() {
        name if config.rotate.is_some() && (name == "-" || config.replace) => {
            return Err(ConnectorError::configuration("`rotate` is for named files, and goes without `replace`"));
        }
        name if let Some(rotate) = config.rotate => {
            rotate.check()?;
            let end = compression.pack(encoder.end(true)).map_err(|error| ConnectorError::io("compressing", &error))?;
            Target::Parts(Arc::new(Mutex::new(Parts::new(name.into(), rotate, end, encoder.parquet()))))
        }
        "-" => Target::Stdout,
        name if config.replace => Target::Replace { path: name.into(), file: None, columns: encoder.parquet() },
        name => Target::Append { path: name.into(), files: None },
    };
    let known = Journal::default();
    Ok(Box::new(FileSink { target, compression, encoder, known, staged: None, spare: Vec::new(), any: false }))
}

#[derive(Clone, Copy, PartialEq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// A whole member or frame: files of several are valid, so each commit ends with one.
    fn pack(self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        match self {
            _ if bytes.is_empty() => Ok(bytes),
            Self::None => Ok(bytes),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(&bytes)?;
                encoder.finish()
            }
            Self::Zstd => zstd::encode_all(bytes.as_slice(), 0),
        }
    }
}

enum Target {
    Stdout,
    Replace { path: PathBuf, file: Option<(PathBuf, File)>, columns: Option<Arc<Columns>> },
    Append { path: PathBuf, files: Option<(File, File)> },
    Parts(Arc<Mutex<Parts>>),
}

impl Target {
    /// Adds a batch; durable, with its journal entry, where there is a journal. `known` are the lengths of
    /// file and journal; gives the journal's new one.
    fn append(&mut self, staged: &mut Staged, known: (u64, u64)) -> Result<u64, ConnectorError> {
        let (length, journal_length) = known;
        let Staged { bytes, entry, records, in_new_part } = staged;
        entry.length = length + bytes.len() as u64;
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)
                    .and_then(|()| out.flush())
                    .map_err(|error| ConnectorError::io("standard output", &error))?;
                Ok(0)
            }
            Self::Replace { file: Some((_, file)), path, .. } => {
                // At its place, so that a second try does not stand behind half of the first.
                let written = file.seek(SeekFrom::Start(length)).and_then(|_| file.write_all(bytes));
                written.map_err(|error| ConnectorError::io(path.display(), &error))?;
                Ok(0)
            }
            Self::Append { path, files: Some((file, journal)) } => {
                // The data first, then the journal that makes it count; each at its place, so that a second try
                // does not stand behind half of the first.
                let written = file
                    .seek(SeekFrom::Start(length))
                    .and_then(|_| file.write_all(bytes))
                    .and_then(|()| file.sync_data())
                    .and_then(|()| journal::append(journal, journal_length, entry));
                written.map_err(|error| ConnectorError::io(path.display(), &error))
            }
            Self::Parts(parts) => {
                lock(parts).append(bytes, *records, *in_new_part, entry)?;
                Ok(0)
            }
            Self::Replace { path, .. } | Self::Append { path, .. } => {
                Err(ConnectorError::new(ErrorKind::Internal, format!("{}: not open", path.display())))
            }
        }
    }

    /// Adds what ends the file, and brings it to its place.
    fn finish(&mut self, end: &[u8], length: u64) -> Result<(), ConnectorError> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(end)
                    .and_then(|()| out.flush())
                    .map_err(|error| ConnectorError::io("standard output", &error))
            }
            Self::Replace { path, file, columns } => {
                let Some((temporary, mut file)) = file.take() else { return Ok(()) };
                let done = file
                    .write_all(end)
                    .and_then(|()| file.sync_all())
                    .and_then(|()| columns.as_ref().map_or(Ok(()), |columns| columns.convert(&temporary)))
                    .and_then(|()| fs::rename(&temporary, &*path));
                done.map_err(|error| ConnectorError::io(path.display(), &error))
            }
            Self::Append { path, files } => {
                let Some((mut file, _)) = files.take() else { return Ok(()) };
                let done = file
                    .seek(SeekFrom::Start(length))
                    .and_then(|_| file.write_all(end))
                    .and_then(|()| file.sync_data());
                done.map_err(|error| ConnectorError::io(path.display(), &error))
            }
            Self::Parts(parts) => lock(parts).close(),
        }
    }
}

impl Drop for Target {
    /// A file that was not completed does not stay.
    fn drop(&mut self) {
        if let Self::Replace { file: Some((temporary, _)), .. } = self {
            let _ = fs::remove_file(temporary);
        }
    }
}

struct FileSink {
    target: Target,
    compression: Compression,
    encoder: Arc<Encoder>,
    known: Journal,
    staged: Option<Staged>,
    /// A buffer to use again.
    spare: Vec<u8>,
    any: bool,
}

impl FileSink {
    /// Works on the files on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Target) -> Result<T, ConnectorError> + Send + 'static,
    ) -> Result<T, ConnectorError> {
        // What stands in its place meanwhile takes nothing.
        let nothing = Target::Replace { path: PathBuf::new(), file: None, columns: None };
        let mut target = std::mem::replace(&mut self.target, nothing);
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&mut target);
            (target, result)
        });
        let (target, result) =
            done.await.map_err(|_| ConnectorError::new(ErrorKind::Internal, "writing a file failed"))?;
        self.target = target;
        result
    }
}

struct Staged {
    bytes: Vec<u8>,
    entry: Entry,
    records: u64,
    in_new_part: bool,
}

#[async_trait]
impl Ledger for FileSink {
    async fn position(&mut self, partition: &str) -> Result<Option<String>, ConnectorError> {
        Ok(self.known.positions.get(partition).cloned())
    }
}

#[async_trait]
impl Sink for FileSink {
    async fn open(&mut self) -> Result<(), ConnectorError> {
        self.staged = None;
        match &mut self.target {
            Target::Stdout => {}
            Target::Replace { path, file, .. } => {
                let temporary = journal::with_ending(path, "partial");
                *file = Some((temporary.clone(), create(&temporary)?));
            }
            Target::Append { path, files } => {
                let (opened, journal) = open_with_journal(path)?;
                self.known = journal;
                *files = Some(opened);
            }
            Target::Parts(parts) => {
                self.known = lock(parts).open()?;
                Parts::watch(parts);
            }
        }
        self.any = self.known.last.any;
        Ok(())
    }

    async fn write(&mut self, batch: &SinkBatch) -> Result<Vec<RowOutcome>, ConnectorError> {
        self.staged = None;
        let mut entry = Entry { any: self.any, ..Entry::default() };
        let mut wanted = vec![true; batch.records.len()];
        match &batch.progress {
            Progress::Position { partition, position } => {
                if self.known.positions.get(&**partition) == Some(position) {
                    return Ok(vec![RowOutcome::Duplicate; batch.records.len()]);
                }
                entry.position = Some((partition.to_string(), position.clone()));
            }
            Progress::Ids => {
                let mut fresh = HashSet::new();
                for (record, wanted) in batch.records.iter().zip(&mut wanted) {
                    let id = record.id().to_string();
                    *wanted = !self.known.ids.contains(&id) && fresh.insert(id.clone());
                    if *wanted {
                        entry.ids.push(id);
                    }
                }
            }
        }
        let (encoder, compression, any) = (Arc::clone(&self.encoder), self.compression, self.any);
        let (records, keep) = (Arc::clone(&batch.records), wanted.clone());
        let mut buffer = std::mem::take(&mut self.spare);
        buffer.clear();
        let parts = match &self.target {
            Target::Parts(parts) => Some(Arc::clone(parts)),
            _ => None,
        };
        let work = tokio::task::spawn_blocking(move || {
            let encode = |any, mut buffer| {
                let refused = encoder.write(&records, &keep, any, &mut buffer);
                let bytes = compression.pack(buffer).map_err(|error| ConnectorError::io("compressing", &error))?;
                Ok::<_, ConnectorError>((bytes, refused))
            };
            let Some(parts) = parts else { return encode(any, buffer).map(|(bytes, refused)| (bytes, refused, false)) };
            let mut parts = lock(&parts);
            let any = parts.begin()?;
            let (mut bytes, mut refused) = encode(any, buffer)?;
            let delivered = keep.iter().filter(|keep| **keep).count() - refused.len();
            let in_new_part = parts.is_too_much(delivered as u64, bytes.len() as u64);
            if in_new_part {
                bytes.clear();
                (bytes, refused) = encode(false, bytes)?;
            }
            parts.stage();
            Ok((bytes, refused, in_new_part))
        });
        let encoded = work.await.map_err(|_| ConnectorError::new(ErrorKind::Internal, "encoding a batch failed"))?;
        let (bytes, refused, in_new_part) = encoded?;
        let mut refused = refused.into_iter().peekable();
        let outcomes: Vec<RowOutcome> = wanted
            .iter()
            .enumerate()
            .map(|(index, wanted)| match refused.next_if(|(at, _)| *at == index) {
                Some((_, error)) => RowOutcome::Dead(error),
                None if *wanted => RowOutcome::Delivered,
                None => RowOutcome::Duplicate,
            })
            .collect();
        if batch.progress == Progress::Ids {
            // A record that is dead here may come again, from the dead letters.
            let dead =
                batch.records.iter().zip(&outcomes).filter(|(_, outcome)| matches!(outcome, RowOutcome::Dead(_)));
            let dead: HashSet<String> = dead.map(|(record, _)| record.id().to_string()).collect();
            entry.ids.retain(|id| !dead.contains(id));
        }
        let delivered = outcomes.iter().filter(|outcome| **outcome == RowOutcome::Delivered).count();
        entry.any |= delivered > 0;
        self.staged = Some(Staged { bytes, entry, records: delivered as u64, in_new_part });
        Ok(outcomes)
    }

    async fn commit(&mut self) -> Result<(), ConnectorError> {
        let Some(mut staged) = self.staged.take() else { return Ok(()) };
        let known = (self.known.last.length, self.known.own_length);
        let work = move |target: &mut Target| target.append(&mut staged, known).map(|own| (own, staged));
        let (own_length, Staged { bytes, mut entry, .. }) = self.blocking(work).await?;
        self.any = entry.any;
        self.known.own_length = own_length;
        self.known.positions.extend(entry.position.take());
        self.known.ids.extend(std::mem::take(&mut entry.ids));
        self.known.last = entry;
        self.spare = bytes;
        Ok(())
    }

    async fn close(&mut self) -> Result<(), ConnectorError> {
        self.staged = None;
        let end = self.encoder.end(self.any);
        let end = self.compression.pack(end).map_err(|error| ConnectorError::io("compressing", &error))?;
        let length = self.known.last.length;
        self.blocking(move |target| target.finish(&end, length)).await
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        match &self.target {
            Target::Stdout => Ok("standard output".to_owned()),
            Target::Parts(parts) => {
                let parts = lock(parts);
                check_folder(parts.path())?;
                Ok(parts.describe())
            }
            Target::Replace { path, .. } | Target::Append { path, .. } => {
                check_folder(path)?;
                Ok(if path.exists() {
                    format!("{} is there", path.display())
                } else {
                    format!("{} will be made", path.display())
                })
            }
        }
    }

    fn has_ledger(&self) -> bool {
        matches!(self.target, Target::Append { .. } | Target::Parts(_))
    }
}

/// The folder of a file can be written to.
fn check_folder(path: &Path) -> Result<(), ConnectorError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let metadata = fs::metadata(folder).map_err(|error| ConnectorError::io(folder.display(), &error))?;
    if metadata.permissions().readonly() {
        return Err(ConnectorError::new(ErrorKind::Denied, format!("{}: may not be written", folder.display())));
    }
    Ok(())
}

fn create(path: &Path) -> Result<File, ConnectorError> {
    File::create(path).map_err(|error| ConnectorError::io(path.display(), &error))
}

/// Opens a file and its journal, and cuts the file to what the journal says.
fn open_with_journal(path: &Path) -> Result<((File, File), Journal), ConnectorError> {
    let io_error = |error: io::Error| ConnectorError::io(path.display(), &error);
    let existed = path.exists();
    let has_journal = journal::beside(path).exists();
    if existed && !has_journal && fs::metadata(path).map_err(io_error)?.len() > 0 {
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
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(path).map_err(io_error)?;
    if file.metadata().map_err(io_error)?.len() < journal.last.length {
        return Err(ConnectorError::new(
            ErrorKind::Corrupt,
            format!("{} is shorter than its journal says; somebody changed it", path.display()),
        ));
    }
    file.set_len(journal.last.length).map_err(io_error)?;
    Ok(((file, journal_file), journal))
}
