//! One way of writing: Unicode digits, full-width forms, odd spaces and dashes become ASCII, invisible characters go, and every
//! place in the result leads back to the original. `４１１１ １１１１…`, `4111\u{200b}1111…` and `٤١١١…` are card numbers, too.

use std::borrow::Cow;

use cloakroom_prefilter::Letters;

/// Where the original differs: a character that was replaced or left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edit {
    /// Where it stands, or would stand, in the normalised text.
    at: u64,
    /// True when something stands there for it; it is one byte, then.
    kept: bool,
    /// What the original has more up to and with this character.
    more: Lengths,
}

/// A length in three units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lengths {
    pub(crate) bytes: u64,
    pub(crate) characters: u64,
    pub(crate) utf16: u64,
}

/// From places in a normalised text to places in the original.
#[derive(Clone, Debug, Default)]
pub(crate) struct OffsetMap {
    edits: Vec<Edit>,
    /// What the original has more in all.
    total: Lengths,
    /// What it has more up to the last edit that was forgotten.
    forgotten: Lengths,
}

impl OffsetMap {
    /// What the original has more up to a span's start: invisible characters before the value do not belong to it.
    pub(crate) fn before_start(&self, start: u64) -> Lengths {
        self.sum(|edit| edit.at + u64::from(edit.kept) <= start)
    }

    /// What the original has more up to a span's end: neither do those behind it.
    pub(crate) fn before_end(&self, end: u64) -> Lengths {
        self.sum(|edit| edit.at < end)
    }

    fn sum(&self, within: impl Fn(&Edit) -> bool) -> Lengths {
        let count = self.edits.partition_point(within);
        count.checked_sub(1).map_or(self.forgotten, |last| self.edits[last].more)
    }

    /// Forgets edits before a place: nobody will ask about what stands there again.
    pub(crate) fn forget_before(&mut self, place: u64) {
        let old = self.edits.partition_point(|edit| edit.at < place);
        if let Some(last) = old.checked_sub(1) {
            self.forgotten = self.edits[last].more;
            self.edits.drain(..old);
        }
    }
}

/// Normalises a text; `None` when it is as it should be already.
pub(crate) fn normalize(text: &[u8]) -> Option<(Vec<u8>, OffsetMap)> {
    let first = first_edit(text)?;
    let (mut out, mut map) = (text[..first].to_vec(), OffsetMap::default());
    append(&text[first..], &mut out, 0, &mut map);
    Some((out, map))
}

/// Appends a piece, normalised, to `out`, whose first byte is at `base` of the whole. The piece must not end within a character
/// (see [`whole_characters`]).
pub(crate) fn append(piece: &[u8], out: &mut Vec<u8>, base: u64, map: &mut OffsetMap) {
    let mut rest = piece;
    while let Some(at) = first_edit(rest) {
        out.extend_from_slice(&rest[..at]);
        let (character, length) = decode(&rest[at..]);
        let replacement = character.and_then(replacement);
        let utf16 = character.map_or(1, |character| character.len_utf16() as u64);
        let kept = matches!(replacement, Some(Some(_)));
        map.total.bytes += length as u64 - u64::from(kept);
        map.total.characters += 1 - u64::from(kept);
        map.total.utf16 += utf16 - u64::from(kept);
        map.edits.push(Edit { at: base + out.len() as u64, kept, more: map.total });
        if let Some(Some(byte)) = replacement {
            out.push(byte);
        }
        rest = &rest[at + length..];
    }
    out.extend_from_slice(rest);
}

/// How much of a piece is whole characters: all of it, but for the beginning of a character at its end.
pub(crate) fn whole_characters(piece: &[u8]) -> usize {
    for back in 1..=piece.len().min(3) {
        let byte = piece[piece.len() - back];
        let length = match byte {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => return piece.len(),
        };
        return if length > back { piece.len() - back } else { piece.len() };
    }
    piece.len()
}

/// The first character that is replaced or left out.
fn first_edit(text: &[u8]) -> Option<usize> {
    for at in (0..text.len()).step_by(64) {
        if text[at..].first_chunk::<64>().is_some_and(|bytes| bytes.iter().fold(0, |sum, byte| sum | byte) < 0x80) {
            continue;
        }
        let mut beyond = Letters::at(text, at).beyond;
        while beyond != 0 {
            let place = at + beyond.trailing_zeros() as usize;
            beyond &= beyond - 1;
            if may_lead(text[place], text.get(place + 1).copied().unwrap_or(0)) {
                let (character, _) = decode(&text[place..]);
                if character.is_some_and(|character| replacement(character).is_some()) {
                    return Some(place);
                }
            }
        }
    }
    None
}

/// The first two bytes of characters that are edited, and of few others: not those of é, ß, Greek, Cyrillic, Chinese.
#[inline]
fn may_lead(first: u8, second: u8) -> bool {
    match first {
        0xC2 => matches!(second, 0xA0 | 0xAD),
        0xD9 | 0xDB | 0xDF | 0xE0 | 0xE1 | 0xEA | 0xEF | 0xF0 => true,
        0xE2 => matches!(second, 0x80 | 0x81 | 0x88),
        0xE3 => second == 0x80,
        _ => false,
    }
}

/// The character at the beginning of a text and its length; none where there is none (length 1).
fn decode(text: &[u8]) -> (Option<char>, usize) {
    let byte = |at: usize| text.get(at).filter(|byte| **byte & 0xC0 == 0x80).map(|byte| u32::from(byte & 0x3F));
    let (code, length) = match text[0] {
        lead @ 0xC2..=0xDF => (byte(1).map(|a| u32::from(lead & 0x1F) << 6 | a), 2),
        lead @ 0xE0..=0xEF => (byte(1).zip(byte(2)).map(|(a, b)| u32::from(lead & 0x0F) << 12 | a << 6 | b), 3),
        lead @ 0xF0..=0xF4 => (
            byte(1).zip(byte(2)).zip(byte(3)).map(|((a, b), c)| u32::from(lead & 0x07) << 18 | a << 12 | b << 6 | c),
            4,
        ),
        _ => (None, 1),
    };
    match code.and_then(char::from_u32) {
        Some(character) => (Some(character), length),
        None => (None, 1),
    }
}

/// What stands for a character: `Some(None)` when it is left out, `None` when it stays as it is.
fn replacement(character: char) -> Option<Option<u8>> {
    let code = u32::from(character);
    match code {
        // Full-width forms of ASCII, and the space that goes with them.
        0xFF01..=0xFF5E => Some(u8::try_from(code - 0xFF01 + 0x21).ok()),
        0x3000 | 0xA0 | 0x2000..=0x200A | 0x202F | 0x205F => Some(Some(b' ')),
        // Hyphens, dashes and the minus sign.
        0x2010..=0x2015 | 0x2212 | 0xFE58 | 0xFE63 => Some(Some(b'-')),
        // Soft hyphen, zero-width and direction marks.
        0xAD | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x2064 | 0x2066..=0x2069 | 0xFEFF => Some(None),
        _ => digit(code).map(Some),
    }
}

/// Decimal digits beyond ASCII (Unicode general category Nd): each script has ten in a row, from these zeros on.
const ZEROS: [u32; 42] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6, 0x0E50,
    0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50,
    0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0x104A0, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x114D0,
    0x1E950,
];

fn digit(code: u32) -> Option<u8> {
    if (0x1D7CE..=0x1D7FF).contains(&code) {
        // Mathematical digits: five styles of ten.
        return u8::try_from((code - 0x1D7CE) % 10).ok().map(|digit| b'0' + digit);
    }
    let zero = ZEROS[ZEROS.partition_point(|zero| *zero <= code).checked_sub(1)?];
    u8::try_from(code - zero).ok().filter(|digit| *digit < 10).map(|digit| b'0' + digit)
}

/// The original's place of a span in a normalised text.
pub(crate) fn original_span(map: &OffsetMap, start: usize, end: usize) -> (usize, usize) {
    (start + map.before_start(start as u64).bytes as usize, end + map.before_end(end as u64).bytes as usize)
}

/// A text as it is searched.
pub(crate) fn normalized(text: &[u8]) -> (Cow<'_, [u8]>, OffsetMap) {
    // Most texts are ASCII, and that is found out at memory speed.
    if text.is_ascii() {
        return (Cow::Borrowed(text), OffsetMap::default());
    }
    match normalize(text) {
        Some((text, map)) => (Cow::Owned(text), map),
        None => (Cow::Borrowed(text), OffsetMap::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(original: &str, value: &str) -> String {
        let (text, map) = normalized(original.as_bytes());
        let start = memchr::memmem::find(&text, value.as_bytes()).unwrap();
        let (start, end) = original_span(&map, start, start + value.len());
        original[start..end].to_owned()
    }

    #[test]
    fn odd_ways_of_writing_lead_back_to_themselves() {
        assert_eq!(back("card ４１１１-１１ !", "4111-11"), "４１１１-１１");
        assert_eq!(back("é 4\u{200b}111\u{200b} x", "4111"), "4\u{200b}111");
        assert_eq!(back("\u{feff}\u{200b}4111", "4111"), "4111");
        assert_eq!(back("ｓ：٤١١١, ۴", "4111"), "٤١١١");
        assert_eq!(back("a\u{a0}b—c𝟗", "a b-c9"), "a\u{a0}b—c𝟗");
        assert_eq!(back("naïve 12", "12"), "12");
        assert!(normalize("naïve «ascii» Привет 身份证".as_bytes()).is_none());
        assert!(normalize(b"\xff\xfe\xc3 broken \xe2\x80").is_none());
    }

    #[test]
    fn lengths_in_all_units() {
        let (_, map) = normalize("\u{200b}𝟗x".as_bytes()).unwrap();
        assert_eq!(map.before_start(0), Lengths { bytes: 3, characters: 1, utf16: 1 });
        assert_eq!(map.before_start(1), Lengths { bytes: 6, characters: 1, utf16: 2 });
        assert_eq!(map.before_end(1), Lengths { bytes: 6, characters: 1, utf16: 2 });
    }

    #[test]
    fn the_first_bytes_of_all_that_is_edited() {
        for code in (0x80..0x11_0000).filter_map(char::from_u32).filter(|code| replacement(*code).is_some()) {
            let mut bytes = [0; 4];
            code.encode_utf8(&mut bytes);
            assert!(may_lead(bytes[0], bytes[1]), "{:x}", u32::from(code));
        }
    }

    #[test]
    fn pieces_end_with_whole_characters() {
        for (piece, whole) in [("abc", 3), ("é", 2), ("a身", 4), ("𝟗", 4)] {
            assert_eq!(whole_characters(piece.as_bytes()), whole);
        }
        for cut in 1..4 {
            assert_eq!(whole_characters(&"a𝟗".as_bytes()[..1 + cut]), 1);
        }
        assert_eq!(whole_characters(b"\x80\x80\x80\x80"), 4);
        assert_eq!(whole_characters(b""), 0);
    }
}
