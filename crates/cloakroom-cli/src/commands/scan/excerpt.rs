//! Masked excerpts: enough to recognise a finding's place, and nothing that could be a value.
//!
//! A value's neighbours may be values as well: found ones, ones below the confidence that was asked for, or kinds that
//! were not asked for. So the surroundings are searched with the whole catalogue and no threshold, digits are never
//! shown, and words that the window cuts are left out. When in doubt it shows less.

use std::ops::Range;
use std::sync::OnceLock;

use cloakroom_core::detect::{Detector, Found, Rule, Scratch, Selection, built_in};

/// How far behind a value its surroundings reach, in bytes, with some to spare.
pub(super) const REACH: u64 = 64;
/// What is shown before and behind, in characters.
const BEFORE: usize = 40;
const AFTER: usize = 20;
/// From this length the first and last two characters of a value are shown.
const LONG: usize = 13;
/// More stars say nothing.
const STARS: usize = 12;
/// The length from which a word is more likely a key than a word.
const LONG_WORD: usize = 20;

/// A finding's line, masked.
pub(super) struct Excerpt {
    pub(super) before: String,
    pub(super) value: String,
    pub(super) after: String,
}

/// Finds whatever could be a value.
pub(super) struct Masker {
    selection: Selection,
    /// Made when the first excerpt is.
    detector: OnceLock<Option<Detector>>,
}

impl Masker {
    pub(super) fn new(selection: &Selection) -> Self {
        let asked: Vec<&String> = selection.only.iter().flatten().chain(&selection.also).collect();
        let opt_in = |rule: &&Rule| rule.opt_in && asked.iter().any(|entity| **entity == rule.entity);
        let also =
            built_in().iter().chain(&selection.custom).filter(opt_in).map(|rule| rule.entity.to_string()).collect();
        let selection = Selection { custom: selection.custom.clone(), also, threshold: 0.0, ..Selection::default() };
        Self { selection, detector: OnceLock::new() }
    }

    fn hide(&self, text: &[u8], scratch: &mut Scratch, hidden: &mut Vec<Range<usize>>) {
        match self.detector.get_or_init(|| Detector::new(&self.selection).ok()) {
            Some(detector) => {
                let mut found = Vec::new();
                detector.find(text, &[], scratch, &mut found);
                hidden.extend(found.iter().map(|d| d.start..d.end));
            }
            // Its rules compiled before, in the selection; should they not, nothing is shown.
            None => hidden.push(0..text.len()),
        }
    }
}

/// What stands beside a value in its line, with what is known to be a value in it.
pub(super) struct Surroundings {
    before: Vec<u8>,
    before_hidden: Vec<Range<usize>>,
    /// The window begins inside the line, perhaps in a word.
    cut_before: bool,
    value: String,
    after: Vec<u8>,
    after_hidden: Vec<Range<usize>>,
    cut_after: bool,
}

impl Surroundings {
    /// `last_end` is where the value before this one ended.
    pub(super) fn new(found: &Found<'_, '_>, last_end: u64) -> Self {
        let line = found.before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let before = &found.before[line..];
        let window_start = found.start.byte.saturating_sub(before.len() as u64);
        let overlap = usize::try_from(last_end.saturating_sub(window_start)).unwrap_or(usize::MAX).min(before.len());
        let characters = String::from_utf8_lossy(before).chars().count() as u64;
        Self {
            before: before.to_vec(),
            before_hidden: vec![0..overlap, glued_before(before)],
            cut_before: found.start.column > characters + 1,
            value: mask_value(&String::from_utf8_lossy(found.value)),
            after: found.after.to_vec(),
            after_hidden: vec![glued_after(found.after)],
            // A window of full length may end in a word; a little less, where it must not cut a letter.
            cut_after: found.after.len() >= 28,
        }
    }

    /// Another value begins and ends so far behind this one.
    pub(super) fn hide_behind(&mut self, start: u64, end: u64) {
        let limit = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.after.len());
        let range = limit(start)..limit(end);
        if !range.is_empty() {
            self.after_hidden.push(range);
        }
    }

    pub(super) fn masked(mut self, masker: &Masker, scratch: &mut Scratch) -> Excerpt {
        masker.hide(&self.before, scratch, &mut self.before_hidden);
        masker.hide(&self.after, scratch, &mut self.after_hidden);
        let (mut from, mut to) = (0, self.after.len());
        if self.cut_before {
            from = self.before.iter().position(u8::is_ascii_whitespace).unwrap_or(self.before.len());
        }
        if self.cut_after {
            to = self.after.iter().rposition(u8::is_ascii_whitespace).unwrap_or(0);
        }
        let before = masked(&self.before, &self.before_hidden, from..self.before.len());
        let after = masked(&self.after, &self.after_hidden, 0..to);
        Excerpt { before: last(&before, BEFORE).to_owned(), value: self.value, after: first(&after, AFTER).to_owned() }
    }
}

/// The whole words within the last characters of a text.
fn last(text: &str, count: usize) -> &str {
    let Some((cut, _)) = text.char_indices().rev().nth(count) else { return text.trim_start() };
    let rest = &text[cut..];
    rest.find(' ').map_or("", |gap| rest[gap..].trim_start())
}

/// The whole words within the first.
fn first(text: &str, count: usize) -> &str {
    let Some((cut, letter)) = text.char_indices().nth(count) else { return text.trim_end() };
    let end = cut + letter.len_utf8();
    text[..end].rfind(' ').map_or("", |gap| text[..gap].trim_end())
}

/// What stands before a value without a gap may be the beginning of what it is a part of: back to a separator.
fn glued_before(text: &[u8]) -> Range<usize> {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>=:,;()[]{}/".contains(byte);
    let from = text.iter().rposition(ends).map_or(0, |at| at + 1);
    if has_letters(&text[from..]) { from..text.len() } else { 0..0 }
}

/// And what stands behind it its end: a password that goes on after a sign that the rule does not know.
fn glued_after(text: &[u8]) -> Range<usize> {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>".contains(byte);
    let to = text.iter().position(ends).unwrap_or(text.len());
    if has_letters(&text[..to]) { 0..to } else { 0..0 }
}

fn has_letters(text: &[u8]) -> bool {
    text.iter().any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
}

/// All stars; of a long value the first and last two characters.
fn mask_value(value: &str) -> String {
    let length = value.chars().count();
    if length < LONG {
        return "*".repeat(length);
    }
    let visible = |letter: char| if letter.is_control() { '*' } else { letter };
    let first: String = value.chars().take(2).map(visible).collect();
    let last: String = value.chars().skip(length - 2).map(visible).collect();
    format!("{first}{}{last}", "*".repeat((length - 4).min(STARS)))
}

/// A part of a text with stars for what is hidden, for digits and for words that look like keys or addresses.
fn masked(text: &[u8], hidden: &[Range<usize>], part: Range<usize>) -> String {
    let mut stars = vec![false; text.len()];
    let mut hide = |range: &Range<usize>| stars[range.clone()].iter_mut().for_each(|star| *star = true);
    hidden.iter().for_each(&mut hide);
    let mut start = 0;
    for word in text.split_inclusive(u8::is_ascii_whitespace) {
        let end = start + word.len();
        let letters = word.trim_ascii_end().len();
        if letters >= LONG_WORD || word.contains(&b'@') {
            hide(&(start..start + letters));
        }
        start = end;
    }
    let mut out = String::new();
    let mut run = 0;
    let mut at = part.start;
    for letter in String::from_utf8_lossy(&text[part]).chars() {
        let star = stars.get(at).copied().unwrap_or(true) || letter.is_ascii_digit() || letter.is_numeric();
        at += if letter == char::REPLACEMENT_CHARACTER { 1 } else { letter.len_utf8() };
        run = if star { run + 1 } else { 0 };
        match letter {
            _ if star && run > STARS => {}
            _ if star => out.push('*'),
            _ if letter.is_control() || letter.is_whitespace() => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(before: &str, value: &str, after: &str, column: u64) -> String {
        let rule = &built_in()[0];
        let start = cloakroom_core::detect::Place { byte: 1000, character: 1000, utf16: 1000, line: 1, column };
        let found = Found {
            rule,
            start,
            end: start,
            confidence: 1.0,
            validated: false,
            value: value.as_bytes(),
            before: before.as_bytes(),
            after: after.as_bytes(),
        };
        let excerpt = Surroundings::new(&found, 0).masked(&Masker::new(&Selection::default()), &mut Scratch::default());
        format!("{}|{}|{}", excerpt.before, excerpt.value, excerpt.after)
    }

    #[test]
    fn values_and_neighbours_are_masked() {
        assert_eq!(excerpt("card: ", "4111111111111111", " ok", 7), "card: |41************11| ok");
        assert_eq!(excerpt("pin ", "hunter2hunte", "", 5), "pin |************|");
        assert_eq!(
            excerpt("a@b.example 4111 1111 1111 1111 x ", "1234", " 5", 35),
            "*********** ************ x |****| *"
        );
        assert_eq!(excerpt("k AKIAABCDEFGHIJKLMNOPQR ", "v", "", 26), "k ************ |*|");
    }

    #[test]
    fn what_is_glued_to_a_value_is_masked() {
        assert_eq!(excerpt("password: ", "Tr0ub4dor", "&Qx, next", 11), "password: |*********|**** next");
        assert_eq!(excerpt("password=a&", "Tr0ub4dor", "\" next", 12), "password=**|*********|\" next");
        assert_eq!(excerpt("(", "value", ").", 2), "(|*****|).");
    }

    #[test]
    fn words_that_the_window_cuts_are_left_out() {
        assert_eq!(
            excerpt("rd hunter card ", "v", " where the word is swordf long", 500),
            "hunter card |*| where the word is"
        );
        assert_eq!(excerpt("cret", "v", "", 500), "|*|");
    }

    #[test]
    fn controls_do_not_reach_the_terminal() {
        assert_eq!(excerpt("a\u{1b}[31m\tb ", "\n\u{1b}aaaaaaaaaaaaaaa", "", 10), "a [**m b |**************aa|");
    }
}
