//! Detection in a stream: texts of any length, in pieces of any size, with memory that does not grow.
//!
//! The scanner keeps a window of the stream: enough behind the place it has reached for context and for matches that begin
//! before their trigger, enough ahead for the longest match. Every decision depends on positions in the stream only,
//! never on how it was cut, so any cutting gives the findings that [`Detector::find`] gives for the whole.

use super::compiled::MAX_MATCH;
use super::context::{AFTER, BEFORE, windows};
use super::engine::LOOK_BEHIND;
use super::normalize::{Lengths, OffsetMap, append, whole_characters};
use super::overlap::choose_before;
use super::pem::MAX_BLOCK;
use super::{Detection, Detector, Rule, Scratch};

/// What must be known behind a trigger before its match can be judged.
const LOOK_AHEAD: usize = MAX_MATCH + MAX_BLOCK + AFTER + 128;
/// How much is searched at a time.
const STEP: usize = 64 * 1024;

/// A place in a stream, from 0; line and column from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes of UTF-8.
    pub byte: u64,
    /// Unicode code points.
    pub character: u64,
    /// UTF-16 code units.
    pub utf16: u64,
    /// Lines.
    pub line: u64,
    /// Code points in the line.
    pub column: u64,
}

/// A value found in a stream. The texts are normalised (digits and spaces of one kind, nothing invisible), for masked excerpts and
/// fingerprints; they must not be printed as they are.
pub struct Found<'d, 't> {
    /// The rule that found it.
    pub rule: &'d Rule,
    /// Where it begins.
    pub start: Place,
    /// Where it ends.
    pub end: Place,
    /// 0 to 1.
    pub confidence: f32,
    /// True when a checksum succeeded.
    pub validated: bool,
    /// The value.
    pub value: &'t [u8],
    /// Up to 64 bytes before it in its line, and the line above where it begins its line.
    pub before: &'t [u8],
    /// Up to 32 bytes behind it in its line.
    pub after: &'t [u8],
}

/// Finds values in a stream. Any cutting into pieces gives the same findings.
pub struct Scanner<'d> {
    detector: &'d Detector,
    names: Vec<String>,
    /// The window, normalised.
    text: Vec<u8>,
    /// Where the window begins in the normalised stream.
    base: u64,
    /// Triggers before this place of the window are done.
    done: usize,
    /// Found, but what overlaps them may still come. Places in the window.
    pending: Vec<Detection>,
    /// The end of the last finding that was emitted, in the window.
    free: usize,
    /// The beginning of a character whose rest is to come.
    partial: Vec<u8>,
    map: OffsetMap,
    /// The place up to which characters and lines were counted, in the normalised stream, and what they came to.
    counted: u64,
    count: Place,
    scratch: Scratch,
}

impl<'d> Scanner<'d> {
    /// For one stream.
    #[must_use]
    pub fn new(detector: &'d Detector) -> Self {
        Self::with_names(detector, &[])
    }

    /// For one stream to which these words belong: a field's name, a column.
    #[must_use]
    pub fn with_names(detector: &'d Detector, names: &[&str]) -> Self {
        let mut scratch = Scratch::default();
        scratch.work.begin(detector.rules.len());
        scratch.reader.begin(&detector.context, names);
        Self {
            detector,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            text: Vec::new(),
            base: 0,
            done: 0,
            pending: Vec::new(),
            free: 0,
            partial: Vec::new(),
            map: OffsetMap::default(),
            counted: 0,
            count: Place { byte: 0, character: 0, utf16: 0, line: 1, column: 1 },
            scratch,
        }
    }

    /// Takes the next piece of UTF-8 (invalid sequences are tolerated) and emits what is certain by now, in order.
    pub fn push(&mut self, piece: &[u8], emit: &mut dyn FnMut(&Found<'d, '_>)) {
        for part in piece.chunks(STEP) {
            self.take(part);
            if self.text.len() >= self.done + STEP + LOOK_AHEAD {
                self.search(self.text.len() - LOOK_AHEAD);
                self.settle(self.done.saturating_sub(LOOK_BEHIND), emit);
                self.forget();
            }
        }
    }

    /// The stream ends: emits the rest. Afterwards the scanner is as new.
    pub fn finish(&mut self, emit: &mut dyn FnMut(&Found<'d, '_>)) {
        let partial = std::mem::take(&mut self.partial);
        append(&partial, &mut self.text, self.base, &mut self.map);
        self.search(self.text.len());
        self.settle(usize::MAX, emit);
        let names = std::mem::take(&mut self.names);
        *self = Self::with_names(self.detector, &names.iter().map(String::as_str).collect::<Vec<_>>());
    }

    fn take(&mut self, piece: &[u8]) {
        let joined;
        let mut piece = piece;
        if !self.partial.is_empty() {
            joined = [&self.partial, piece].concat();
            self.partial.clear();
            piece = &joined;
        }
        let (whole, partial) = piece.split_at(whole_characters(piece));
        self.partial.extend_from_slice(partial);
        if whole.is_ascii() {
            self.text.extend_from_slice(whole);
        } else {
            append(whole, &mut self.text, self.base, &mut self.map);
        }
    }

    fn search(&mut self, to: usize) {
        self.detector.search(&self.text, self.done..to, &mut self.scratch, &mut self.pending);
        self.done = to;
    }

    /// Emits what nothing behind `certain` can change.
    fn settle(&mut self, certain: usize, emit: &mut dyn FnMut(&Found<'d, '_>)) {
        let detector = self.detector;
        for d in choose_before(&mut self.pending, certain, self.free, |d| detector.specificity(d)) {
            self.free = d.end;
            let start = self.place(d.start, true);
            let end = self.place(d.end, false);
            let (before, after) = windows(&self.text, d.start..d.end);
            emit(&Found {
                rule: detector.rule(d.rule),
                start,
                end,
                confidence: d.confidence,
                validated: d.validated,
                value: &self.text[d.start..d.end],
                before: &self.text[before],
                after: &self.text[after],
            });
        }
    }

    /// Drops what will not be looked at again from the front of the window.
    fn forget(&mut self) {
        let first = self.pending.iter().map(|d| d.start).min().unwrap_or(usize::MAX);
        let keep = self.done.saturating_sub(LOOK_BEHIND).min(first).saturating_sub(BEFORE + 2);
        // Moving the window costs as much as it is long: not for little.
        if keep < STEP / 2 {
            return;
        }
        self.count_to(keep);
        self.text.drain(..keep);
        self.base += keep as u64;
        self.done -= keep;
        self.free = self.free.saturating_sub(keep);
        for d in &mut self.pending {
            d.start -= keep;
            d.end -= keep;
        }
        self.scratch.work.advance(keep);
        self.scratch.reader.restart();
        self.map.forget_before(self.base);
    }

    /// The place in the original stream of a place in the window, as the start or the end of a span. Places are asked for in order.
    fn place(&mut self, at: usize, start: bool) -> Place {
        self.count_to(at);
        let whole = self.base + at as u64;
        let more = if start { self.map.before_start(whole) } else { self.map.before_end(whole) };
        let Lengths { bytes, characters, utf16 } = more;
        let count = self.count;
        Place {
            byte: whole + bytes,
            character: count.character + characters,
            utf16: count.utf16 + utf16,
            line: count.line,
            column: count.column,
        }
    }

    fn count_to(&mut self, at: usize) {
        let from = (self.counted - self.base) as usize;
        if at <= from {
            return;
        }
        let text = &self.text[from..at];
        let characters = |text: &[u8]| text.iter().filter(|byte| **byte & 0xC0 != 0x80).count() as u64;
        let beyond = text.iter().filter(|byte| **byte >= 0xF0).count() as u64;
        self.count.character += characters(text);
        self.count.utf16 += characters(text) + beyond;
        match memchr::memrchr(b'\n', text) {
            Some(last) => {
                self.count.line += text.iter().filter(|byte| **byte == b'\n').count() as u64;
                self.count.column = 1 + characters(&text[last + 1..]);
            }
            None => self.count.column += characters(text),
        }
        self.counted += (at - from) as u64;
    }
}

#[cfg(test)]
mod tests;
