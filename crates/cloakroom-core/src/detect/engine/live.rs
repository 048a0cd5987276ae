//! Which shapes can begin at a candidate position: a bit-parallel table over the first bytes. Each shape is a bit; the bits of
//! those that allow a byte at an offset are one row, and the rows of a position's bytes are combined until none is left.

use cloakroom_prefilter::ByteSet;

use super::beginning::{Beginning, DEPTH};

/// The table. Shapes for word starts come first, those for anywhere begin with a word of their own.
pub(crate) struct LiveTable {
    /// Bytes that no shape tells apart have one class.
    class: [u8; 256],
    classes: usize,
    /// Words in a row.
    words: usize,
    /// Words of shapes for word starts; the rest is for anywhere.
    start_words: usize,
    /// By offset, class and word.
    rows: Vec<u64>,
    /// By class: the words that have a bit at offset 0, as a range.
    ranges: Vec<(u8, u8)>,
}

impl LiveTable {
    /// The bit of a start shape is its number; that of an anywhere shape is [`LiveTable::first_anywhere`] and its number.
    pub(crate) fn new(start: &[&Beginning], anywhere: &[&Beginning]) -> Self {
        let start_words = start.len().div_ceil(64);
        let words = start_words + anywhere.len().div_ceil(64);
        let numbered = || {
            let anywhere = anywhere.iter().enumerate().map(move |(number, shape)| (start_words * 64 + number, shape));
            start.iter().enumerate().chain(anywhere)
        };
        // Classes: bytes with the same bits everywhere.
        let mut class = [0_u8; 256];
        let mut representatives: Vec<u8> = Vec::new();
        let sets: Vec<ByteSet> = {
            let mut all: Vec<ByteSet> = numbered().flat_map(|(_, shape)| shape.sets).collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        let mut signatures: std::collections::HashMap<Vec<u64>, u8> = std::collections::HashMap::new();
        for byte in 0..=255_u8 {
            let mut signature = vec![0_u64; sets.len().div_ceil(64)];
            for (index, set) in sets.iter().enumerate() {
                signature[index / 64] |= u64::from(set.contains(byte)) << (index % 64);
            }
            let next = representatives.len();
            let number = *signatures.entry(signature).or_insert(u8::try_from(next).unwrap_or(u8::MAX));
            if usize::from(number) == next {
                representatives.push(byte);
            }
            class[usize::from(byte)] = number;
        }
        let classes = representatives.len();
        let mut rows = vec![0_u64; DEPTH * classes * words];
        for (bit, shape) in numbered() {
            for (offset, set) in shape.sets.iter().enumerate() {
                for (number, byte) in representatives.iter().enumerate() {
                    if set.contains(*byte) {
                        rows[(offset * classes + number) * words + bit / 64] |= 1 << (bit % 64);
                    }
                }
            }
        }
        let ranges = (0..classes)
            .map(|number| {
                let row = &rows[number * words..(number + 1) * words];
                let first = row.iter().position(|word| *word != 0).unwrap_or(0);
                let behind = row.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
                (first as u8, behind as u8)
            })
            .collect();
        Self { class, classes, words, start_words, rows, ranges }
    }

    /// The bit of the first shape for anywhere.
    pub(crate) fn first_anywhere(&self) -> usize {
        self.start_words * 64
    }

    /// Words in a row of bits.
    pub(crate) fn words(&self) -> usize {
        self.words
    }

    /// Calls `each` with the bits of the shapes that can begin with these bytes, a word of 64 at a time; `begins` says whether a word
    /// of the text can begin there.
    #[inline]
    pub(crate) fn for_each(&self, bytes: &[u8; DEPTH], begins: bool, mut each: impl FnMut(usize, u64)) {
        let first = usize::from(self.class[usize::from(bytes[0])]);
        let (from, to) = self.ranges[first];
        let from = if begins { usize::from(from) } else { usize::from(from).max(self.start_words) };
        for word in from..usize::from(to) {
            let mut live = self.rows[first * self.words + word];
            for offset in 1..DEPTH {
                if live == 0 {
                    break;
                }
                let class = usize::from(self.class[usize::from(bytes[offset])]);
                live &= self.rows[(offset * self.classes + class) * self.words + word];
            }
            if live != 0 {
                each(word, live);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::engine::trigger::parse;

    #[test]
    fn finds_the_shapes_that_can_begin() {
        let of = |pattern: &str| Beginning::of(&parse(pattern).unwrap().nfa);
        let start: Vec<Beginning> = (0..70).map(|n| of(&format!(r"\b{}x[0-9]{{3}}\b", char::from(b'A' + n % 26)))).collect();
        let anywhere = [of("secret=")];
        let table = LiveTable::new(&start.iter().collect::<Vec<_>>(), &anywhere.iter().collect::<Vec<_>>());
        let live = |text: &[u8; DEPTH], begins| {
            let mut found = Vec::new();
            table.for_each(text, begins, |word, bits| found.extend((0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| word * 64 + bit)));
            found
        };
        assert_eq!(live(b"Bx123 ......", true), [1, 27, 53]);
        assert_eq!(live(b"Bx123 ......", false), Vec::<usize>::new());
        assert_eq!(live(b"Bx1234......", true), Vec::<usize>::new());
        assert_eq!(live(b"secret=a....", false), [table.first_anywhere()]);
    }
}
