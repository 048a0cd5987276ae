//! Files and streams of this machine.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloakroom_pipeline::error::ConnectorError;
use cloakroom_pipeline::framing::{Content, Input, Reader};

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

    /// Opens it and looks at its first bytes. For streams this may wait.
    pub(super) fn open(self) -> Result<Input, ConnectorError> {
        let length = match &self {
            Self::Stream(_) => None,
            Self::File(path) => {
                let metadata = fs::metadata(path).map_err(|error| self.failed(&error))?;
                if metadata.is_dir() {
                    return Err(ConnectorError::configuration(format!("{}: is a folder, not a file", path.display())));
                }
                Some(metadata.len())
            }
        };
        Input::open(Arc::new(Opened { origin: self, length }))
    }

    /// An input error with the file's name.
    fn failed(&self, error: &io::Error) -> ConnectorError {
        match self {
            Self::File(path) | Self::Stream(Some(path)) => ConnectorError::io(path.display(), error),
            Self::Stream(None) => ConnectorError::io("standard input", error),
        }
    }
}

/// An origin whose length was looked at.
struct Opened {
    origin: Origin,
    /// Bytes of a regular file.
    length: Option<u64>,
}

impl Content for Opened {
    fn open_at(&self, offset: u64) -> io::Result<Reader> {
        Ok(match &self.origin {
            Origin::Stream(None) => Box::new(io::stdin()),
            Origin::Stream(Some(path)) => Box::new(File::open(path)?),
            Origin::File(path) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(offset))?;
                Box::new(file)
            }
        })
    }

    fn length(&self) -> Option<u64> {
        self.length
    }

    fn error(&self, error: &io::Error) -> ConnectorError {
        self.origin.failed(error)
    }
}

/// The name that a file has whatever folder the program is started in.
pub(super) fn absolute(path: &Path) -> Result<String, ConnectorError> {
    let absolute = std::path::absolute(path).map_err(|error| ConnectorError::io(path.display(), &error))?;
    Ok(absolute.canonicalize().unwrap_or(absolute).display().to_string())
}
