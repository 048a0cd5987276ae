//! Detection in a stream: texts of any length, in pieces of any size, with memory that does not grow.

use super::{Detection, Detector, Scratch};
use crate::detect::Rule;

/// A place in a stream, from 0; line and column from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// A value found in a stream. The texts are for masked excerpts and fingerprints; they must not be printed as they are.
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
    /// Up to 64 bytes before it, without the line end before.
    pub before: &'t [u8],
    /// Up to 32 bytes behind it, without the line end.
    pub after: &'t [u8],
}

/// Finds values in a stream. Any cutting into pieces gives the same findings.
pub struct Scanner<'d> {
    detector: &'d Detector,
    text: Vec<u8>,
    scratch: Scratch,
}

impl<'d> Scanner<'d> {
    /// For one stream.
    #[must_use]
    pub fn new(detector: &'d Detector) -> Self {
        Self { detector, text: Vec::new(), scratch: Scratch::default() }
    }

    /// Takes the next piece of UTF-8 (invalid sequences are tolerated) and emits what is certain by now, in order.
    pub fn push(&mut self, piece: &[u8], _emit: &mut dyn FnMut(&Found<'d, '_>)) {
        self.text.extend_from_slice(piece);
    }

    /// The stream ends: emits the rest.
    pub fn finish(&mut self, emit: &mut dyn FnMut(&Found<'d, '_>)) {
        let mut found: Vec<Detection> = Vec::new();
        self.detector.find(&self.text, &[], &mut self.scratch, &mut found);
        let place = |at: usize| {
            let before = String::from_utf8_lossy(&self.text[..at]);
            let line = before.rsplit('\n').next().unwrap_or_default();
            Place {
                byte: at as u64,
                character: before.chars().count() as u64,
                utf16: before.encode_utf16().count() as u64,
                line: before.matches('\n').count() as u64 + 1,
                column: line.chars().count() as u64 + 1,
            }
        };
        for d in found {
            let (before, after) = super::context::windows(&self.text, d.start..d.end);
            emit(&Found {
                rule: self.detector.rule(d.rule),
                start: place(d.start),
                end: place(d.end),
                confidence: d.confidence,
                validated: d.validated,
                value: &self.text[d.start..d.end],
                before: &self.text[before],
                after: &self.text[after],
            });
        }
        self.text.clear();
    }
}
