//! Cuts a stream of bytes into records, in bounded memory, without decoding them.

use std::io::{self, Read};
use std::sync::Arc;

use crate::error::{ConnectorError, ErrorKind};
use bytes::{Bytes, BytesMut};
use cloakroom_core::decode::frame::{ArrayFramer, Element};
use cloakroom_core::{CompactString, Format, Limits, Payload, RecordError, RecordErrorKind};

use super::input::Input;
use super::parquet;
use super::position::{Position, SAMPLE};

/// Bytes read at a time: large enough that system calls do not count, small enough for the cache.
const BLOCK: usize = 256 * 1024;

/// A record beyond its limit is still kept whole for the dead letters up to this size; beyond it only its
/// place and size are known.
const KEEP: usize = 64 * 1024 * 1024;

/// A record cut out of the stream.
pub(super) struct Framed {
    pub(super) payload: Payload,
    pub(super) number: u64,
    pub(super) start: u64,
    /// Where the next record's search begins.
    pub(super) end: u64,
    /// Bytes of the record as they stand in the file, and where: what tells this file from another.
    pub(super) sample: (u64, Bytes),
}

/// Takes what was cut.
pub(super) trait Receive {
    /// A record.
    fn record(&mut self, framed: Framed) -> Result<(), ConnectorError>;
    /// A stream has nothing more at the moment: do not let records wait for others.
    fn idle(&mut self) -> Result<(), ConnectorError>;
}

/// Cuts the input from a position on.
pub(super) fn frame(
    input: &Input,
    format: Format,
    limits: Limits,
    from: &Position,
    out: &mut dyn Receive,
) -> Result<(), ConnectorError> {
    if format == Format::Parquet {
        return parquet::rows(input, from, out);
    }
    let Some(mut reader) = input.reader_at(from.end)? else { return Ok(()) };
    match format {
        Format::Parquet => Ok(()),
        Format::Csv => csv_rows(input, reader, from, out),
        Format::KeyValue => {
            lines(input, reader, from, &mut Blocks { number: from.number, ..Blocks::default() }, limits, out)
        }
        Format::Json => {
            // Whether it is one array or lines is known from the file's first character only.
            let is_array = if from.end > 0 {
                let Some(mut beginning) = input.reader_at(0)? else { return Ok(()) };
                first_character(beginning.as_mut(), input)?.1 == Some(b'[')
            } else {
                let (head, first) = first_character(reader.as_mut(), input)?;
                reader = Box::new(io::Cursor::new(head).chain(reader));
                first == Some(b'[')
            };
            if is_array {
                array(input, reader, from, out)
            } else {
                lines(input, reader, from, &mut OneEach, limits, out)
            }
        }
    }
}

/// Reads what there is, at least one byte unless the input ends.
fn read_some(reader: &mut dyn Read, buffer: &mut [u8], input: &Input) -> Result<usize, ConnectorError> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(|error| input.error(&error)),
        }
    }
}

fn fill(reader: &mut dyn Read, buffer: &mut [u8], input: &Input) -> Result<usize, ConnectorError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_some(reader, &mut buffer[filled..], input)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// Reads up to the first character that is no space (nor a byte order mark); gives what was read, too.
fn first_character(reader: &mut dyn Read, input: &Input) -> Result<(Vec<u8>, Option<u8>), ConnectorError> {
    let mut head = Vec::new();
    let mut byte = [0];
    while head.len() < BLOCK && read_some(reader, &mut byte, input)? > 0 {
        head.push(byte[0]);
        if !byte[0].is_ascii_whitespace() && !b"\xEF\xBB\xBF".contains(&byte[0]) {
            return Ok((head, Some(byte[0])));
        }
    }
    Ok((head, None))
}

/// A record of which only the place and the size are known.
fn too_large(size: u64) -> Payload {
    let error = RecordError::new(RecordErrorKind::TooLarge, format!("{size} bytes; it was not kept"));
    Payload::Unusable { bytes: Bytes::new(), error }
}

/// What lines become.
trait Lines {
    /// Takes a line without its end; gives a record when one is complete. `next` is the offset after the line.
    fn line(&mut self, line: Bytes, start: u64, next: u64, number: u64) -> Option<Framed>;
    /// A line longer than [`KEEP`].
    fn oversize(&mut self, size: u64, start: u64, next: u64, number: u64) -> Option<Framed>;
    /// The input ends.
    fn end(&mut self) -> Option<Framed>;
}

/// One JSON object a line.
struct OneEach;

impl Lines for OneEach {
    fn line(&mut self, line: Bytes, start: u64, next: u64, number: u64) -> Option<Framed> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        Some(Framed { sample: (start, line.clone()), payload: Payload::Json(line), number, start, end: next })
    }

    fn oversize(&mut self, size: u64, start: u64, next: u64, number: u64) -> Option<Framed> {
        Some(Framed { payload: too_large(size), number, start, end: next, sample: (start, Bytes::new()) })
    }

    fn end(&mut self) -> Option<Framed> {
        None
    }
}

/// `key=value` lines up to an empty one.
#[derive(Default)]
struct Blocks {
    block: BytesMut,
    start: u64,
    end: u64,
    number: u64,
    size: u64,
    /// The block's last line, and where it begins.
    last: (u64, Bytes),
}

impl Lines for Blocks {
    fn line(&mut self, line: Bytes, start: u64, next: u64, _: u64) -> Option<Framed> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return self.end();
        }
        if self.size == 0 {
            self.start = start;
        }
        self.size += line.len() as u64 + 1;
        self.end = next;
        self.last = (start, line.clone());
        if self.size <= KEEP as u64 {
            self.block.extend_from_slice(&line);
            self.block.extend_from_slice(b"\n");
        } else {
            self.block.clear();
        }
        None
    }

    fn oversize(&mut self, size: u64, start: u64, next: u64, number: u64) -> Option<Framed> {
        let none = self.line(Bytes::from_static(b"="), start, next, number);
        self.size += size + KEEP as u64;
        self.block.clear();
        none
    }

    fn end(&mut self) -> Option<Framed> {
        if self.size == 0 {
            return None;
        }
        let size = std::mem::take(&mut self.size);
        self.number += 1;
        let block = self.block.split().freeze();
        let sample = std::mem::take(&mut self.last);
        let payload = if size > KEEP as u64 { too_large(size) } else { Payload::KeyValue(block) };
        Some(Framed { payload, number: self.number, start: self.start, end: self.end, sample })
    }
}

/// Reads blocks and cuts them at line ends. Lines share the block that they were read into.
fn lines(
    input: &Input,
    mut reader: Box<dyn Read + Send>,
    from: &Position,
    kind: &mut dyn Lines,
    limits: Limits,
    out: &mut dyn Receive,
) -> Result<(), ConnectorError> {
    let keep = KEEP.max(limits.max_bytes);
    let mut buffer = BytesMut::new();
    // Offset of the buffer's first byte, and how much of it was searched for a line end.
    let (mut offset, mut searched, mut number) = (from.end, 0, from.number);
    let mut skipping = 0_u64;
    if from.end == 0 {
        buffer.extend_from_slice(&[0; 3]);
        let length = fill(reader.as_mut(), &mut buffer[..3], input)?;
        buffer.truncate(length);
        if buffer[..] == *b"\xEF\xBB\xBF" {
            buffer.clear();
            offset = 3;
        }
    }
    loop {
        let length = buffer.len();
        buffer.resize(length + BLOCK, 0);
        let read = read_some(reader.as_mut(), &mut buffer[length..], input)?;
        buffer.truncate(length + read);
        let at_end = read == 0;
        let complete = match memchr::memrchr(b'\n', &buffer[searched..]) {
            Some(last) => searched + last + 1,
            None => 0,
        };
        let mut block = buffer.split_to(complete).freeze();
        let mut from_start = 0;
        for line_end in memchr::memchr_iter(b'\n', &block.clone()) {
            let start = offset + from_start as u64;
            let next = offset + line_end as u64 + 1;
            number += 1;
            let framed = if skipping > 0 {
                let size = std::mem::take(&mut skipping) + (line_end - from_start) as u64;
                kind.oversize(size, next - size - 1, next, number)
            } else {
                kind.line(without_return(block.slice(from_start..line_end)), start, next, number)
            };
            framed.map_or(Ok(()), |framed| out.record(framed))?;
            from_start = line_end + 1;
        }
        offset += block.len() as u64;
        block.clear();
        searched = buffer.len();
        if buffer.len() > keep {
            // One line beyond all limits: remember how much of it went by, and drop it.
            skipping += buffer.len() as u64;
            offset += buffer.len() as u64;
            buffer.clear();
            searched = 0;
        }
        if at_end {
            break;
        }
        if input.is_stream() {
            out.idle()?;
        }
    }
    if skipping > 0 {
        let size = skipping + buffer.len() as u64;
        let end = offset + buffer.len() as u64;
        kind.oversize(size, end - size, end, number + 1).map_or(Ok(()), |framed| out.record(framed))?;
    } else if !buffer.is_empty() {
        let (start, next) = (offset, offset + buffer.len() as u64);
        let framed = kind.line(without_return(buffer.freeze()), start, next, number + 1);
        framed.map_or(Ok(()), |framed| out.record(framed))?;
    }
    kind.end().map_or(Ok(()), |framed| out.record(framed))
}

fn without_return(line: Bytes) -> Bytes {
    if line.last() == Some(&b'\r') { line.slice(..line.len() - 1) } else { line }
}

/// The elements of one JSON array.
fn array(
    input: &Input,
    mut reader: Box<dyn Read + Send>,
    from: &Position,
    out: &mut dyn Receive,
) -> Result<(), ConnectorError> {
    let mut framer = ArrayFramer::new(KEEP);
    let mut found: Vec<Element> = Vec::new();
    let (mut base, mut number) = (0_i128, from.number);
    if from.end > 0 {
        // In the middle of an array: the framer has seen its `[`, one byte that counts.
        let _ = framer.feed(b"[", &mut |_| {});
        base = i128::from(from.end) - 1;
    }
    let mut buffer = vec![0; BLOCK];
    loop {
        let read = read_some(reader.as_mut(), &mut buffer, input)?;
        let at_end = read == 0;
        let mut outcome = framer.feed(&buffer[..read], &mut |element| found.push(element));
        if at_end && outcome.is_ok() {
            outcome = std::mem::replace(&mut framer, ArrayFramer::new(0)).finish(&mut |element| found.push(element));
        }
        for element in found.drain(..) {
            number += 1;
            let start = u64::try_from(base + i128::from(element.offset)).unwrap_or(0);
            let end = start + element.length;
            let sample = (start, element.bytes.clone());
            let whole = element.bytes.len() as u64 == element.length;
            let payload = if whole { Payload::Json(element.bytes) } else { too_large(element.length) };
            out.record(Framed { payload, number, start, end, sample })?;
        }
        // What could be cut was handed out; the rest cannot be understood.
        outcome.map_err(|error| ConnectorError::new(ErrorKind::Corrupt, error.to_string()))?;
        if at_end {
            return Ok(());
        }
    }
}

/// Rows of CSV after a header line.
fn csv_rows(
    input: &Input,
    reader: Box<dyn Read + Send>,
    from: &Position,
    out: &mut dyn Receive,
) -> Result<(), ConnectorError> {
    let bounded = |inner, offset| Bounded { inner, left: KEEP, offset, earlier: Vec::new(), latest: Vec::new() };
    let builder = || {
        let mut builder = csv::ReaderBuilder::new();
        builder.has_headers(false).flexible(true).buffer_capacity(BLOCK);
        builder
    };
    let broken = |error: &csv::Error, line: u64| match error.kind() {
        csv::ErrorKind::Io(io) if io.kind() == io::ErrorKind::FileTooLarge => ConnectorError::new(
            ErrorKind::Corrupt,
            format!("a CSV record after line {line} is longer than {KEEP} bytes; a quote may not be closed"),
        ),
        csv::ErrorKind::Io(io) => input.error(io),
        _ => ConnectorError::new(ErrorKind::Corrupt, format!("the CSV cannot be read after line {line}")),
    };
    let mut rows = builder().from_reader(bounded(reader, from.end));
    let mut row = csv::ByteRecord::new();
    let header: csv::ByteRecord = if from.end == 0 {
        rows.read_byte_record(&mut row).map_err(|error| broken(&error, 0))?;
        row.clone()
    } else {
        let Some(beginning) = input.reader_at(0)? else { return Ok(()) };
        let mut header = csv::ByteRecord::new();
        builder()
            .from_reader(bounded(beginning, 0))
            .read_byte_record(&mut header)
            .map_err(|error| broken(&error, 0))?;
        header
    };
    let mut names = Vec::with_capacity(header.len());
    for (index, name) in header.iter().enumerate() {
        let name = if index == 0 { name.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(name) } else { name };
        let name = std::str::from_utf8(name)
            .map_err(|_| ConnectorError::new(ErrorKind::Corrupt, "the CSV header is not UTF-8"))?;
        names.push(CompactString::new(name.trim()));
    }
    let header: Arc<[CompactString]> = names.into();
    let mut number = if from.end == 0 { 1 } else { from.number };
    loop {
        rows.get_mut().left = KEEP;
        let start = from.end + rows.position().byte();
        if !rows.read_byte_record(&mut row).map_err(|error| broken(&error, number))? {
            return Ok(());
        }
        number += 1;
        let end = from.end + rows.position().byte();
        let content = Bytes::copy_from_slice(row.as_slice());
        let fields = (0..row.len()).filter_map(|index| row.range(index)).map(|range| content.slice(range)).collect();
        let sample = (start, rows.get_ref().sample(start, end));
        out.record(Framed {
            payload: Payload::Csv { header: Arc::clone(&header), fields },
            number,
            start,
            end,
            sample,
        })?;
    }
}

/// Stops a reader that goes on and on without a record's end, and remembers the latest bytes: a row's
/// fields differ from its bytes in the file where quotes stand, and the position's sample is of the file.
struct Bounded<R> {
    inner: R,
    left: usize,
    /// Offset after the latest bytes.
    offset: u64,
    earlier: Vec<u8>,
    latest: Vec<u8>,
}

impl<R> Bounded<R> {
    /// The first bytes of a record, as far as they are remembered.
    fn sample(&self, start: u64, end: u64) -> Bytes {
        let first = self.offset - (self.earlier.len() + self.latest.len()) as u64;
        let Some(skip) = start.checked_sub(first).and_then(|skip| usize::try_from(skip).ok()) else {
            return Bytes::new();
        };
        let length = usize::try_from(end - start).unwrap_or(SAMPLE).min(SAMPLE);
        self.earlier.iter().chain(&self.latest).skip(skip).take(length).copied().collect()
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let length = buffer.len().min(self.left);
        let read = self.inner.read(&mut buffer[..length])?;
        self.left -= read;
        self.offset += read as u64;
        std::mem::swap(&mut self.earlier, &mut self.latest);
        self.latest.clear();
        self.latest.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}
