//! CSV and TSV: every cell is searched as a text of its own that belongs to its column's header.
//!
//! `csv-core` says where cells end, byte by byte; the cells themselves are searched as they stand in the file, so that
//! positions stay those of the file. A cell without end (a quote that nobody closes) ends the table, not the search:
//! the rest is searched as plain text.

use std::ops::Range;

use cloakroom_core::detect::{Detection, Detector, Found, Place, Scanner, Scratch};
use csv_core::{ReadFieldResult, Reader, ReaderBuilder};

/// The longest cell.
const MAX_CELL: usize = 1024 * 1024;
/// The longest name of a column.
const MAX_NAME: usize = 100;
/// Columns whose names are remembered; a row without end must not fill the memory.
const MAX_COLUMNS: usize = 20_000;
/// What of a cell is handed out around a finding, in bytes.
const BEFORE: usize = 64;
const AFTER: usize = 32;

pub(super) struct Table<'d> {
    detector: &'d Detector,
    reader: Reader,
    /// The cell that is being read, as it stands in the file, and where it begins.
    raw: Vec<u8>,
    at: Place,
    column: usize,
    /// Names of columns, when the first row has ended.
    header: Option<Vec<String>>,
    first_row: Vec<Option<String>>,
    /// The cell to the left, where it is a word or two: `ssn,123-45-6789` in a table of names and values.
    left: String,
    scratch: Scratch,
    found: Vec<Detection>,
    /// What remains of a table that was none, and where that began.
    rest: Option<(Place, Box<Scanner<'d>>)>,
}

impl<'d> Table<'d> {
    pub(super) fn new(detector: &'d Detector, first: &[u8], tabs: bool) -> Self {
        let reader = match tabs {
            // In TSV a quote is a character as any other.
            true => ReaderBuilder::new().delimiter(b'\t').quoting(false).build(),
            false => ReaderBuilder::new().delimiter(delimiter(first)).build(),
        };
        Self {
            detector,
            reader,
            raw: Vec::new(),
            at: Place { byte: 0, character: 0, utf16: 0, line: 1, column: 1 },
            column: 0,
            header: None,
            first_row: Vec::new(),
            left: String::new(),
            scratch: Scratch::default(),
            found: Vec::new(),
            rest: None,
        }
    }

    pub(super) fn push(&mut self, mut piece: &[u8], emit: &mut dyn FnMut(&Found<'d, '_>)) {
        // What the reader makes of a cell, its quotes resolved, is not needed.
        let mut unused = [0; 4096];
        while !piece.is_empty() {
            if let Some((base, scanner)) = &mut self.rest {
                let base = *base;
                return scanner.push(piece, &mut |found| emit(&moved(found, &base)));
            }
            let (result, taken, _) = self.reader.read_field(piece, &mut unused);
            self.raw.extend_from_slice(&piece[..taken]);
            piece = &piece[taken..];
            match result {
                ReadFieldResult::Field { record_end } => self.cell(record_end, true, emit),
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull if self.raw.len() > MAX_CELL => {
                    let mut scanner = Box::new(Scanner::new(self.detector));
                    let base = self.at;
                    scanner.push(&std::mem::take(&mut self.raw), &mut |found| emit(&moved(found, &base)));
                    self.rest = Some((base, scanner));
                }
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull | ReadFieldResult::End => {}
            }
        }
    }

    pub(super) fn finish(&mut self, emit: &mut dyn FnMut(&Found<'d, '_>)) {
        if let Some((base, scanner)) = &mut self.rest {
            let base = *base;
            return scanner.finish(&mut |found| emit(&moved(found, &base)));
        }
        // No line end behind the last cell.
        if !self.raw.is_empty() {
            self.cell(true, false, emit);
        }
    }

    /// A cell has ended; `closed` with a separator or line end.
    fn cell(&mut self, record_end: bool, closed: bool, emit: &mut dyn FnMut(&Found<'d, '_>)) {
        let raw = std::mem::take(&mut self.raw);
        let inner = content(&raw, closed, record_end);
        let cell = &raw[inner.clone()];
        let header = self.header.as_ref().and_then(|header| header.get(self.column));
        let names = [header.map_or("", String::as_str), self.left.as_str()];
        self.detector.find(cell, &names, &mut self.scratch, &mut self.found);
        let (mut place, mut counted) = (self.at, 0);
        for d in &self.found {
            let (start, end) = (inner.start + d.start, inner.start + d.end);
            advance(&mut place, &raw[counted..start]);
            let from = place;
            advance(&mut place, &raw[start..end]);
            counted = end;
            let before = &cell[d.start.saturating_sub(BEFORE)..d.start];
            let line = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let after = &cell[d.end..cell.len().min(d.end + AFTER)];
            let line_end = after.iter().position(|byte| *byte == b'\n').unwrap_or(after.len());
            emit(&Found {
                rule: self.detector.rule(d.rule),
                start: from,
                end: place,
                confidence: d.confidence,
                validated: d.validated,
                value: &raw[start..end],
                before: &before[line..],
                after: &after[..line_end],
            });
        }
        if self.header.is_none() && self.first_row.len() < MAX_COLUMNS {
            self.first_row.push(if self.found.is_empty() { name(cell) } else { None });
        }
        self.left.clear();
        if self.header.is_some() && !cell.iter().any(u8::is_ascii_digit) {
            self.left = name(cell).unwrap_or_default();
        }
        advance(&mut place, &raw[counted..]);
        self.at = place;
        self.column += 1;
        if record_end {
            self.column = 0;
            self.left.clear();
            if self.header.is_none() {
                // A table without a header begins with data: then a cell in it is no name.
                let names: Option<Vec<String>> = std::mem::take(&mut self.first_row).into_iter().collect();
                self.header = Some(names.unwrap_or_default());
            }
        }
        // Its memory serves the next cell.
        self.raw = raw;
        self.raw.clear();
    }
}

/// What could be the name of a column: short, and with a letter unless it is empty.
fn name(cell: &[u8]) -> Option<String> {
    let is_name = cell.is_empty() || cell.iter().any(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii());
    (is_name && cell.len() <= MAX_NAME).then(|| String::from_utf8_lossy(cell).into_owned())
}

/// A cell without line ends of blank lines before it, without the separator behind it, without its quotes.
fn content(raw: &[u8], closed: bool, record_end: bool) -> Range<usize> {
    let is_end = |byte: &u8| *byte == b'\n' || *byte == b'\r';
    let start = raw.iter().position(|byte| !is_end(byte)).unwrap_or(raw.len());
    let mut end = raw.len();
    match (closed, record_end) {
        (true, false) => end = end.saturating_sub(1).max(start),
        (_, true) => end = raw[start..].iter().rposition(|byte| !is_end(byte)).map_or(start, |at| start + at + 1),
        (false, false) => {}
    }
    match &raw[start..end] {
        [b'"', inner @ .., b'"'] => start + 1..start + 1 + inner.len(),
        _ => start..end,
    }
}

/// What stands most often in the first line, of what separates cells.
fn delimiter(text: &[u8]) -> u8 {
    let line = text.split(|byte| *byte == b'\n').find(|line| !line.is_empty()).unwrap_or_default();
    let count = |wanted: u8| line.iter().filter(|byte| **byte == wanted).count();
    // Of equals the last is taken: the comma.
    [b'|', b'\t', b';', b','].into_iter().max_by_key(|wanted| count(*wanted)).unwrap_or(b',')
}

/// Moves a place to the end of a text that begins there.
fn advance(place: &mut Place, text: &[u8]) {
    let begins = |byte: &&u8| **byte & 0xC0 != 0x80;
    let characters = text.iter().filter(begins).count() as u64;
    place.byte += text.len() as u64;
    place.character += characters;
    place.utf16 += characters + text.iter().filter(|byte| **byte >= 0xF0).count() as u64;
    match text.iter().rposition(|byte| *byte == b'\n') {
        None => place.column += characters,
        Some(last) => {
            place.line += text.iter().filter(|byte| **byte == b'\n').count() as u64;
            place.column = text[last + 1..].iter().filter(begins).count() as u64 + 1;
        }
    }
}

/// A finding of a scanner that began at `base`.
fn moved<'d, 't>(found: &Found<'d, 't>, base: &Place) -> Found<'d, 't> {
    let place = |place: Place| Place {
        byte: base.byte + place.byte,
        character: base.character + place.character,
        utf16: base.utf16 + place.utf16,
        line: base.line + place.line - 1,
        column: if place.line == 1 { base.column + place.column - 1 } else { place.column },
    };
    let Found { rule, start, end, confidence, validated, value, before, after } = *found;
    Found { rule, start: place(start), end: place(end), confidence, validated, value, before, after }
}
