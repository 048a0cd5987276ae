//! Opens files and standard input, sees through gzip and zstd, and goes to an offset.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use cloakroom_pipeline::error::ConnectorError;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

/// A file, or standard input.
pub(super) struct Input {
    /// `None`: standard input.
    path: Option<PathBuf>,
    compression: Compression,
    length: Option<u64>,
    /// What was read of standard input to recognise its compression.
    head: Vec<u8>,
}

impl Input {
    /// Opens the input and looks at its first bytes.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, ConnectorError> {
        let mut input =
            Self { path: path.map(Path::to_owned), compression: Compression::None, length: None, head: Vec::new() };
        let mut head = Vec::new();
        match path {
            None => io::stdin().lock().take(4).read_to_end(&mut head).map_err(|error| input.error(&error))?,
            Some(path) => {
                let file = File::open(path).map_err(|error| input.error(&error))?;
                let metadata = file.metadata().map_err(|error| input.error(&error))?;
                if metadata.is_dir() {
                    return Err(ConnectorError::configuration(format!("{}: is a folder, not a file", path.display())));
                }
                // A pipe has no length and can be read once only: looking at it would take bytes from it.
                input.length = metadata.is_file().then_some(metadata.len());
                match metadata.is_file() {
                    true => file.take(4).read_to_end(&mut head).map_err(|error| input.error(&error))?,
                    false => 0,
                }
            }
        };
        input.compression = match head[..] {
            [0x1F, 0x8B, ..] => Compression::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD] => Compression::Zstd,
            _ => Compression::None,
        };
        input.head = head;
        Ok(input)
    }

    /// The length in bytes of records, when it is known: not for compressed files.
    pub(super) fn plain_length(&self) -> Option<u64> {
        self.length.filter(|_| self.compression == Compression::None)
    }

    /// True for what is no regular file: a pipe, a terminal.
    pub(super) fn is_stream(&self) -> bool {
        self.length.is_none()
    }

    pub(super) fn describe(&self) -> String {
        let how = match self.compression {
            Compression::None => "",
            Compression::Gzip => ", gzip",
            Compression::Zstd => ", zstd",
        };
        self.length.map_or_else(|| "a stream".to_owned(), |length| format!("{length} bytes{how}"))
    }

    /// A reader that stands at an offset of the decompressed content; `None` when it is shorter.
    pub(super) fn reader_at(&self, offset: u64) -> Result<Option<Box<dyn Read + Send>>, ConnectorError> {
        let raw: Box<dyn Read + Send> = match &self.path {
            None => Box::new(io::Cursor::new(self.head.clone()).chain(io::stdin())),
            Some(path) => {
                let mut file = File::open(path).map_err(|error| self.error(&error))?;
                if self.compression == Compression::None && offset > 0 && self.length.is_some() {
                    if self.length < Some(offset) {
                        return Ok(None);
                    }
                    file.seek(SeekFrom::Start(offset)).map_err(|error| self.error(&error))?;
                    return Ok(Some(Box::new(file)));
                }
                Box::new(file)
            }
        };
        let mut reader: Box<dyn Read + Send> = match self.compression {
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
        match &self.path {
            Some(path) => ConnectorError::io(path.display(), error),
            None => ConnectorError::io("standard input", error),
        }
    }
}
