//! Opens files and streams, sees through gzip and zstd, and goes to an offset.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use cloakroom_pipeline::error::ConnectorError;

/// Where the bytes are.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// A regular file: it can be read from any place, and again.
    File(PathBuf),
    /// Standard input, or a named pipe: it can be read once, and opening it may wait.
    Stream(Option<PathBuf>),
}

impl Origin {
    /// Standard input for `-`; else what the file system says.
    pub(super) fn of(name: &str) -> Self {
        let path = PathBuf::from(name);
        match fs::metadata(&path) {
            _ if name == "-" => Self::Stream(None),
            Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => Self::Stream(Some(path)),
            _ => Self::File(path),
        }
    }

    /// An input error with the file's name.
    fn error(&self, error: &io::Error) -> ConnectorError {
        match self {
            Self::File(path) | Self::Stream(Some(path)) => ConnectorError::io(path.display(), error),
            Self::Stream(None) => ConnectorError::io("standard input", error),
        }
    }
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

type Reader = Box<dyn Read + Send>;

/// An input whose first bytes were looked at.
pub(super) struct Input {
    origin: Origin,
    compression: Compression,
    /// Bytes of a regular file.
    length: Option<u64>,
    /// A stream from its first byte, until it is taken.
    stream: RefCell<Option<Reader>>,
}

impl Input {
    /// Opens the input and looks at its first bytes. For streams this may wait.
    pub(super) fn open(origin: Origin) -> Result<Self, ConnectorError> {
        let failed = |error: io::Error| origin.error(&error);
        let mut length = None;
        let mut reader: Reader = match &origin {
            Origin::Stream(None) => Box::new(io::stdin()),
            Origin::Stream(Some(path)) => Box::new(File::open(path).map_err(failed)?),
            Origin::File(path) => {
                let file = File::open(path).map_err(failed)?;
                let metadata = file.metadata().map_err(failed)?;
                if metadata.is_dir() {
                    return Err(ConnectorError::configuration(format!("{}: is a folder, not a file", path.display())));
                }
                length = Some(metadata.len());
                Box::new(file)
            }
        };
        let mut head = Vec::new();
        reader.by_ref().take(4).read_to_end(&mut head).map_err(failed)?;
        let compression = match head[..] {
            [0x1F, 0x8B, ..] => Compression::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD] => Compression::Zstd,
            _ => Compression::None,
        };
        let stream: Option<Reader> = match &origin {
            Origin::File(_) => None,
            Origin::Stream(_) => Some(Box::new(io::Cursor::new(head).chain(reader))),
        };
        Ok(Self { origin, compression, length, stream: RefCell::new(stream) })
    }

    /// The length in bytes of records, when it is known: not for compressed files.
    pub(super) fn plain_length(&self) -> Option<u64> {
        self.length.filter(|_| self.compression == Compression::None)
    }

    /// True for what is no regular file: a pipe, a terminal.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self.origin, Origin::Stream(_))
    }

    pub(super) fn describe(&self) -> String {
        let how = match self.compression {
            Compression::None => "",
            Compression::Gzip => ", gzip",
            Compression::Zstd => ", zstd",
        };
        self.length.map_or_else(|| "a stream".to_owned(), |length| format!("{length} bytes{how}"))
    }

    /// A reader that stands at an offset of the decompressed content; `None` when it is shorter. A stream
    /// is given out once.
    pub(super) fn reader_at(&self, offset: u64) -> Result<Option<Reader>, ConnectorError> {
        let raw: Reader = match &self.origin {
            Origin::Stream(_) => match self.stream.borrow_mut().take() {
                Some(stream) => stream,
                None => return Ok(None),
            },
            Origin::File(path) => {
                let mut file = File::open(path).map_err(|error| self.error(&error))?;
                if self.compression == Compression::None {
                    if self.length < Some(offset) {
                        return Ok(None);
                    }
                    file.seek(SeekFrom::Start(offset)).map_err(|error| self.error(&error))?;
                    return Ok(Some(Box::new(file)));
                }
                Box::new(file)
            }
        };
        let mut reader: Reader = match self.compression {
            Compression::None => raw,
            Compression::Gzip => {
                Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(256 * 1024, raw)))
            }
            Compression::Zstd => Box::new(zstd::Decoder::new(raw).map_err(|error| self.error(&error))?),
        };
        let skipped =
            io::copy(&mut reader.by_ref().take(offset), &mut io::sink()).map_err(|error| self.error(&error))?;
        Ok((skipped == offset).then_some(reader))
    }

    /// An input error with the file's name.
    pub(super) fn error(&self, error: &io::Error) -> ConnectorError {
        self.origin.error(error)
    }
}

/// The name that a file has whatever folder the program is started in.
pub(super) fn absolute(path: &Path) -> Result<String, ConnectorError> {
    let absolute = std::path::absolute(path).map_err(|error| ConnectorError::io(path.display(), &error))?;
    Ok(absolute.canonicalize().unwrap_or(absolute).display().to_string())
}
