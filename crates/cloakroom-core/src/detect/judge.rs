//! What happens to a raw match of a regex on the way to a finding: its group, its surroundings, its edges, its entropy, its
//! validators, its confidence. The engine and the reference both ask here.

use std::ops::Range;

use super::Detection;
use super::compiled::CompiledRule;
use super::context::{ContextIndex, ContextReader, Vote, windows};

/// The rules, and what they know of contexts.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'d> {
    pub(crate) rules: &'d [CompiledRule],
    pub(crate) context: &'d ContextIndex,
}

/// Decides on the matches in one text.
pub(crate) struct Judge<'d, 'r> {
    rules: Rules<'d>,
    reader: &'r mut ContextReader,
    /// The windows of the last span that was looked at.
    looked: Range<usize>,
    windows: (Range<usize>, Range<usize>),
}

impl<'d, 'r> Judge<'d, 'r> {
    pub(crate) fn new(rules: Rules<'d>, reader: &'r mut ContextReader) -> Self {
        Self { rules, reader, looked: usize::MAX..usize::MAX, windows: (0..0, 0..0) }
    }

    /// The finding that a match is, if its rule accepts it. What a rule does not accept does not keep it from matches that begin
    /// within this one.
    #[inline]
    pub(crate) fn accept(&mut self, text: &[u8], rule: u32, matched: Range<usize>) -> Option<Detection> {
        let compiled = &self.rules.rules[rule as usize];
        // Most rules that need a context word do not have it: that is the cheapest to find out.
        let whole = compiled.needs_context && !compiled.has_group();
        if whole && self.vote(text, rule, matched.clone()) != Vote::For {
            return None;
        }
        let (span, validated) = compiled.accept(text, matched)?;
        let confidence = if compiled.context_matters() {
            match self.vote(text, rule, span.clone()) {
                Vote::For => compiled.rule.with_context,
                Vote::Against => compiled.rule.confidence / 2.0,
                Vote::None => compiled.rule.confidence,
            }
        } else {
            compiled.rule.confidence
        };
        let found = Detection { start: span.start, end: span.end, rule, confidence, validated };
        (confidence >= compiled.threshold).then_some(found)
    }

    /// What the names of the text and the surroundings of a span say about a rule.
    #[inline]
    fn vote(&mut self, text: &[u8], rule: u32, span: Range<usize>) -> Vote {
        if self.looked != span {
            self.windows = windows(text, span.clone());
            self.looked = span;
        }
        let (before, after) = self.windows.clone();
        let index = self.rules.context;
        let around = before.start..after.end;
        // One reading of both windows; what lies across the value itself is in neither.
        let marks = self.reader.within(index, text, around);
        if marks.is_empty() && self.reader.names.is_empty() {
            return Vote::None;
        }
        let marks = self.reader.within(index, text, before.start..after.end);
        let outside = marks
            .iter()
            .filter(|mark| mark.start >= before.start && mark.end <= before.end || mark.start >= after.start)
            .map(|mark| mark.node);
        let near = index.vote(outside, rule);
        if near == Vote::For {
            return near;
        }
        match index.vote(self.reader.names.iter().copied(), rule) {
            Vote::None => near,
            named => named,
        }
    }

    /// Calls `each` with the phrases in a part of the text: where each ends, and its node. They come in the order of their ends.
    #[inline]
    pub(crate) fn phrases(&mut self, text: &[u8], window: Range<usize>, mut each: impl FnMut(usize, u32)) {
        for mark in self.reader.within(self.rules.context, text, window) {
            each(mark.end, mark.node);
        }
    }

    /// The phrases in the names of the text.
    pub(crate) fn names(&self) -> &[u32] {
        &self.reader.names
    }
}
