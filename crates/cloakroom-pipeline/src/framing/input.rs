//! Bytes that records are cut out of: sees through gzip and zstd, and goes to an offset.

use std::cell::RefCell;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use crate::error::ConnectorError;

/// Reads bytes.
pub type Reader = Box<dyn Read + Send>;

/// Where bytes are kept: a file, an object.
pub trait Content: Send + Sync {
    /// Opens the bytes from an offset on; an offset beyond the end gives nothing to read. What can be read only once (a
    /// stream) is opened once, at 0.
    ///
    /// # Errors
    /// As the place that keeps them says.
    fn open_at(&self, offset: u64) -> io::Result<Reader>;

    /// Opens so many bytes from an offset on: for what is read here and there. Content that is far away asks for no more
    /// than these.
    ///
    /// # Errors
    /// As the place that keeps them says.
    fn read_range(&self, offset: u64, length: u64) -> io::Result<Reader> {
        Ok(Box::new(self.open_at(offset)?.take(length)))
    }

    /// How many bytes there are; `None` for what can be read only once.
    fn length(&self) -> Option<u64>;

    /// An error while reading, with the name of what is read.
    fn error(&self, error: &io::Error) -> ConnectorError;
}

/// What comes out of a decompressor. Those have kinds of their own for content that is damaged.
struct Decompressed<R>(R);

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            let is_of_the_origin =
                error.raw_os_error().is_some() || error.get_ref().is_some_and(|cause| cause.is::<ConnectorError>());
            match error.kind() {
                io::ErrorKind::Other | io::ErrorKind::InvalidInput if !is_of_the_origin => {
                    io::Error::new(io::ErrorKind::InvalidData, error)
                }
                _ => error,
            }
        })
    }
}

/// How the bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

/// Content whose first bytes were looked at.
pub struct Input {
    content: Arc<dyn Content>,
    compression: Compression,
    /// What was opened for the look, from its first byte, until it is taken: a stream has nothing else, and an object is not
    /// asked for twice.
    opened: RefCell<Option<Reader>>,
}

impl Input {
    /// Opens the content and looks at its first bytes. For streams this may wait.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(content: Arc<dyn Content>) -> Result<Self, ConnectorError> {
        let failed = |error: io::Error| content.error(&error);
        let mut reader = content.open_at(0).map_err(failed)?;
        let mut head = Vec::new();
        reader.by_ref().take(4).read_to_end(&mut head).map_err(failed)?;
        let compression = match head[..] {
            [0x1F, 0x8B, ..] => Compression::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD] => Compression::Zstd,
            _ => Compression::None,
        };
        let opened: Reader = Box::new(io::Cursor::new(head).chain(reader));
        Ok(Self { content, compression, opened: RefCell::new(Some(opened)) })
    }

    /// The length in bytes of records, when it is known: not for what is compressed.
    #[must_use]
    pub fn plain_length(&self) -> Option<u64> {
        self.content.length().filter(|_| self.compression == Compression::None)
    }

    /// True for what can be read only once: a pipe, a terminal.
    pub(super) fn is_stream(&self) -> bool {
        self.content.length().is_none()
    }

    /// Size and compression, in words.
    #[must_use]
    pub fn describe(&self) -> String {
        let how = match self.compression {
            Compression::None => "",
            Compression::Gzip => ", gzip",
            Compression::Zstd => ", zstd",
        };
        self.content.length().map_or_else(|| "a stream".to_owned(), |length| format!("{length} bytes{how}"))
    }

    /// A reader that stands at an offset of the decompressed content; `None` when it is shorter. A stream
    /// is given out once.
    pub(super) fn reader_at(&self, offset: u64) -> Result<Option<Reader>, ConnectorError> {
        let failed = |error: io::Error| self.content.error(&error);
        if offset > 0
            && let Some(length) = self.plain_length()
        {
            return if length < offset { Ok(None) } else { self.content.open_at(offset).map_err(failed).map(Some) };
        }
        let raw = match self.opened.borrow_mut().take() {
            Some(opened) => opened,
            None if self.is_stream() => return Ok(None),
            None => self.content.open_at(0).map_err(failed)?,
        };
        let mut reader: Reader = match self.compression {
            Compression::None => raw,
            Compression::Gzip => {
                Box::new(Decompressed(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(256 * 1024, raw))))
            }
            Compression::Zstd => Box::new(Decompressed(zstd::Decoder::new(raw).map_err(failed)?)),
        };
        let skipped = io::copy(&mut reader.by_ref().take(offset), &mut io::sink()).map_err(failed)?;
        Ok((skipped == offset).then_some(reader))
    }

    /// The content itself, for formats that are read in any order.
    pub(super) fn content(&self) -> Arc<dyn Content> {
        Arc::clone(&self.content)
    }

    /// An error while reading, with the name of what is read.
    pub(super) fn error(&self, error: &io::Error) -> ConnectorError {
        self.content.error(error)
    }
}
