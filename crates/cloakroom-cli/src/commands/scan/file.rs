//! One file: read in pieces, decoded, searched. Memory does not grow with it.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use cloakroom_core::detect::encoding::Decoder;
use cloakroom_core::detect::{Found, Scanner};

use super::hit::{Collector, Hit, Lens};
use super::table::Table;

/// What is read at once.
const PIECE: usize = 256 * 1024;

/// A worker's memory.
pub(super) struct Buffers {
    piece: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { piece: vec![0; PIECE] }
    }
}

/// A text in one of its two forms.
enum Text<'d> {
    Plain(Box<Scanner<'d>>),
    Table(Box<Table<'d>>),
}

impl<'d> Text<'d> {
    fn push(&mut self, piece: &[u8], emit: &mut dyn FnMut(&Found<'d, '_>)) {
        match self {
            Self::Plain(scanner) => scanner.push(piece, emit),
            Self::Table(table) => table.push(piece, emit),
        }
    }

    fn finish(&mut self, emit: &mut dyn FnMut(&Found<'d, '_>)) {
        match self {
            Self::Plain(scanner) => scanner.finish(emit),
            Self::Table(table) => table.finish(emit),
        }
    }
}

/// Searches a file and gives its length; `None` when it is binary.
pub(super) fn scan<'d>(
    lens: &'d Lens,
    shown: &str,
    reader: &mut dyn Read,
    buffers: &mut Buffers,
    emit: &mut dyn FnMut(Hit<'d>),
    stop: &AtomicBool,
) -> io::Result<Option<u64>> {
    let piece = &mut buffers.piece;
    let mut length = fill(reader, piece)?;
    let Some(mut decoder) = Decoder::new(&piece[..length]) else { return Ok(None) };
    let mut collector = Collector::new(lens, shown);
    let mut text = None;
    let mut total = 0;
    let outcome = loop {
        total += length as u64;
        let last = length < PIECE;
        let (decoded, offsets) = decoder.decode(&piece[..length], last);
        let mut take = |found: &Found<'d, '_>| collector.take(found, offsets, emit);
        let text = text.get_or_insert_with(|| form(lens, shown, decoded));
        text.push(decoded, &mut take);
        if last {
            text.finish(&mut take);
            break Ok(Some(total));
        }
        if stop.load(Relaxed) {
            break Ok(Some(total));
        }
        length = match fill(reader, piece) {
            Ok(length) => length,
            // What was read before is searched to its end.
            Err(error) => {
                text.finish(&mut take);
                break Err(error);
            }
        };
    };
    collector.finish(emit);
    outcome
}

/// By the file's name; a table's first piece shows what separates its cells.
fn form<'d>(lens: &'d Lens, shown: &str, first: &[u8]) -> Text<'d> {
    let ending = shown.rsplit('.').next().map(str::to_ascii_lowercase);
    match ending.as_deref() {
        Some(ending @ ("csv" | "tsv")) => Text::Table(Box::new(Table::new(&lens.detector, first, ending == "tsv"))),
        _ => Text::Plain(Box::new(Scanner::new(&lens.detector))),
    }
}

/// Reads until the buffer is full or nothing follows: pipes give little at a time, and where pieces are cut shall not
/// depend on that.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match reader.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
