//! What happens to a raw match of a regex on the way to a finding: its group, its surroundings, its edges, its entropy, its
//! validators, its confidence. The engine and the reference both ask here.

use std::ops::Range;

use super::Detection;
use super::compiled::CompiledRule;
use super::context::{ContextIndex, ContextReader, Mark, Vote, windows};

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
        let for_it = compiled.needs_context && !compiled.has_group();
        if for_it && !self.is_spoken_for(text, rule, matched.clone()) {
            return None;
        }
        let (span, validated) = compiled.accept(text, matched)?;
        let vote = match (for_it, compiled.context_matters()) {
            (true, _) => Vote::For,
            (false, true) => self.vote(text, rule, span.clone()),
            (false, false) => Vote::None,
        };
        let confidence = match vote {
            Vote::For => compiled.rule.with_context,
            Vote::Against => compiled.rule.confidence / 2.0,
            Vote::None => compiled.rule.confidence,
        };
        let found = Detection { start: span.start, end: span.end, rule, confidence, validated };
        (confidence >= compiled.threshold).then_some(found)
    }

    /// Whether the names of the text or the surroundings of a span speak for a rule that needs it.
    #[inline]
    fn is_spoken_for(&mut self, text: &[u8], rule: u32, span: Range<usize>) -> bool {
        let index = self.rules.context;
        if index.vote(self.reader.names.iter().copied(), rule) == Vote::For {
            return true;
        }
        let windows = self.windows(text, span);
        let marks = self.reader.needed(index, text, windows.0.start..windows.1.end);
        index.vote(outside(marks, &windows), rule) == Vote::For
    }

    /// What the names of the text and the surroundings of a span say about a rule.
    fn vote(&mut self, text: &[u8], rule: u32, span: Range<usize>) -> Vote {
        let index = self.rules.context;
        let windows = self.windows(text, span);
        let marks = self.reader.all(index, text, windows.0.start..windows.1.end);
        let near = index.vote(outside(marks, &windows), rule);
        if near == Vote::For {
            return near;
        }
        match index.vote(self.reader.names.iter().copied(), rule) {
            Vote::None => near,
            named => named,
        }
    }

    /// The windows around a span.
    #[inline]
    fn windows(&mut self, text: &[u8], span: Range<usize>) -> (Range<usize>, Range<usize>) {
        if self.looked != span {
            self.windows = windows(text, span.clone());
            self.looked = span;
        }
        self.windows.clone()
    }

    /// The phrases in a part of the text that rules may need, in the order of their ends.
    #[inline]
    pub(crate) fn phrases(&mut self, text: &[u8], window: Range<usize>) -> &[Mark] {
        self.reader.needed(self.rules.context, text, window)
    }

    /// The phrases in the names of the text.
    pub(crate) fn names(&self) -> &[u32] {
        &self.reader.names
    }
}

/// The phrases in either window; what lies across the value itself is in neither.
fn outside<'m>(
    marks: &'m [Mark],
    (before, after): &(Range<usize>, Range<usize>),
) -> impl Iterator<Item = u32> + Clone + use<'m> {
    let (from, to, behind) = (before.start, before.end, after.start);
    marks.iter().filter(move |mark| mark.start >= from && mark.end <= to || mark.start >= behind).map(|mark| mark.node)
}
