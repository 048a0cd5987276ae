//! Files and standard output: JSON lines, a JSON array, CSV with a header, `key=value` blocks; plain,
//! gzip or zstd by the file's name; Parquet.
//!
//! A file remembers what it was given in a journal beside it (`NAME.cloakroom`): after each commit one
//! line with the file's length and the ledger entry. What stands in the file beyond the journal's last
//! length was written by a run that died before its commit, and is cut off.
//!
//! * `append`: a file that grows; `parts`: the same for a file in parts; `replace`: one that appears when it is complete
//! * `journal`: what is remembered; `disk`: names, locks, folders
//! * `parquet`: what JSON lines become when a file is complete

mod append;
mod disk;
mod journal;
mod parquet;
mod parts;
mod replace;

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::sink::{Ledger, RowOutcome, Sink, SinkBatch};
use cloakroom_pipeline::source::Progress;
use schemars::JsonSchema;
use serde::Deserialize;

use append::Appended;
use journal::{Entry, Journal};
use parts::{Parts, lock};
use replace::Replaced;

pub(super) use parquet::Columns;
pub use parts::Rotate;

use super::text::{FileFormat, Layout};
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
    /// was there. Without it records are appended, and a run that is repeated adds nothing. Not for sources that forget what
    /// was delivered (queues, dead letters): they would have forgotten it when a run fails before its end.
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
    let layout = Arc::new(Layout::new(config.format, &context.policy)?);
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
            Target::Parts(Arc::new(Mutex::new(Parts::new(name.into(), rotate, Arc::clone(&layout), compression))))
        }
        "-" => Target::Stdout,
        name if config.replace => Target::Replace(Replaced::new(name.into(), Arc::clone(&layout))),
        name => Target::Append(Appended::new(name.into(), Arc::clone(&layout), compression)),
    };
    let known = Journal::default();
    Ok(Box::new(FileSink { target, compression, layout, known, staged: None, spare: Vec::new(), any: false }))
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

    /// Reads what was packed, from its beginning.
    fn unpack<'a>(self, packed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::None => Box::new(packed),
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(packed)),
            Self::Zstd => Box::new(zstd::Decoder::new(packed)?),
        })
    }
}

enum Target {
    Stdout,
    Replace(Replaced),
    Append(Appended),
    Parts(Arc<Mutex<Parts>>),
}

impl Target {
    /// Adds a batch; durable, with its journal entry, where there is a journal.
    fn append(&mut self, staged: &mut Staged) -> Result<(), ConnectorError> {
        let Staged { bytes, entry, records, in_new_part } = staged;
        match self {
            Self::Stdout => print(bytes),
            Self::Replace(file) => file.append(bytes),
            Self::Append(file) => file.append(bytes, entry),
            Self::Parts(parts) => lock(parts).append(bytes, *records, *in_new_part, entry),
        }
    }

    /// Adds what ends the file, and brings it to its place.
    fn finish(&mut self, end: &[u8]) -> Result<(), ConnectorError> {
        match self {
            Self::Stdout => print(end),
            Self::Replace(file) => file.finish(end),
            Self::Append(file) => file.finish(end),
            Self::Parts(parts) => lock(parts).close(),
        }
    }
}

fn print(bytes: &[u8]) -> Result<(), ConnectorError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| ConnectorError::io("standard output", &error))
}

struct FileSink {
    target: Target,
    compression: Compression,
    layout: Arc<Layout>,
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
        let nothing = Target::Replace(Replaced::new(PathBuf::new(), Arc::clone(&self.layout)));
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
            Target::Replace(file) => file.open()?,
            Target::Append(file) => self.known = file.open()?,
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
        let (layout, compression, any) = (Arc::clone(&self.layout), self.compression, self.any);
        let (records, keep) = (Arc::clone(&batch.records), wanted.clone());
        let mut buffer = std::mem::take(&mut self.spare);
        buffer.clear();
        let parts = match &self.target {
            Target::Parts(parts) => Some(Arc::clone(parts)),
            _ => None,
        };
        let work = tokio::task::spawn_blocking(move || {
            let encode = |any, mut buffer| {
                let refused = layout.write(&records, &keep, any, &mut buffer);
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
        let work = move |target: &mut Target| target.append(&mut staged).map(|()| staged);
        let Staged { bytes, entry, .. } = self.blocking(work).await?;
        self.any = entry.any;
        self.known.positions.extend(entry.position);
        self.known.ids.extend(entry.ids);
        self.spare = bytes;
        Ok(())
    }

    async fn close(&mut self) -> Result<(), ConnectorError> {
        self.staged = None;
        let end = self.layout.end(self.any);
        let end = self.compression.pack(end).map_err(|error| ConnectorError::io("compressing", &error))?;
        self.blocking(move |target| target.finish(&end)).await
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        match &self.target {
            Target::Stdout => Ok("standard output".to_owned()),
            Target::Parts(parts) => {
                let parts = lock(parts);
                check_folder(parts.path())?;
                Ok(parts.describe())
            }
            Target::Replace(file) => found(file.path()),
            Target::Append(file) => found(file.path()),
        }
    }

    fn has_ledger(&self) -> bool {
        matches!(self.target, Target::Append(_) | Target::Parts(_))
    }

    fn only_at_end(&self) -> Option<&'static str> {
        matches!(self.target, Target::Replace(_)).then_some(
            "`replace: true` brings the file to its place at the end of a run, and a run that fails leaves nothing of it; \
             leave `replace` out, or set `rotate`, and name a `path` where no other file is",
        )
    }
}

/// What stands at the place of a file.
fn found(path: &Path) -> Result<String, ConnectorError> {
    check_folder(path)?;
    Ok(if path.exists() { format!("{} is there", path.display()) } else { format!("{} will be made", path.display()) })
}

/// The folder of a file can be written to.
fn check_folder(path: &Path) -> Result<(), ConnectorError> {
    let folder = disk::folder(path);
    let metadata = fs::metadata(folder).map_err(|error| ConnectorError::io(folder.display(), &error))?;
    if metadata.permissions().readonly() {
        return Err(ConnectorError::new(ErrorKind::Denied, format!("{}: may not be written", folder.display())));
    }
    Ok(())
}
