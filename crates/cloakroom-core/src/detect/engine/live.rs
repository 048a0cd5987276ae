//! Which shapes can begin at a candidate position: a bit-parallel table over the first bytes. Each way to begin is a bit; the bits of
//! those that allow a byte at an offset are one row, and the rows of a position's bytes are combined until none is left.

use cloakroom_prefilter::{ByteSet, is_token};

use super::beginning::{DEPTH, is_word};
use super::trigger::MAX_COUNTED_RUN;
use super::watch::Way;

/// Pairs of bytes that say which words of a row to look at.
const PAIRS: usize = 3;

/// The table. Shapes for word starts come first, those for anywhere begin with a word of their own.
pub(crate) struct LiveTable {
    /// Bytes that no shape tells apart have one class.
    class: [u8; 256],
    classes: usize,
    /// Words in a row.
    words: usize,
    /// Words of shapes for word starts; the rest is for anywhere.
    start_words: usize,
    /// The words of shapes for anywhere, one bit each; the last bit stands for all further words.
    anywhere_words: u64,
    /// By offset, class and word.
    rows: Vec<u64>,
    /// For each of the first pairs of bytes, by their classes: the words that have a bit for both, one bit each; the last bit stands
    /// for all further words.
    words_of_pairs: [Vec<u64>; PAIRS],
    /// The bits that depend on how long the run at the beginning is.
    long: Vec<u64>,
    /// By length of the run of word characters, and of token characters, and by word.
    word_runs: Vec<u64>,
    token_runs: Vec<u64>,
}

impl LiveTable {
    /// The bit of a start shape is its number; that of an anywhere shape is [`LiveTable::first_anywhere`] and its number.
    pub(crate) fn new(start: &[Way<'_>], anywhere: &[Way<'_>]) -> Self {
        let start_words = start.len().div_ceil(64);
        let words = start_words + anywhere.len().div_ceil(64);
        let numbered = || {
            let start = (0..).zip(start.iter().map(|way| way.entry));
            start.chain((start_words * 64..).zip(anywhere.iter().map(|way| way.entry)))
        };
        // Classes: bytes with the same bits everywhere.
        let mut class = [0_u8; 256];
        let mut representatives: Vec<u8> = Vec::new();
        let sets: Vec<ByteSet> = {
            let mut all: Vec<ByteSet> = numbered().flat_map(|(_, entry)| entry.beginning.sets).collect();
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
        for (bit, entry) in numbered() {
            for (offset, set) in entry.beginning.sets.iter().enumerate() {
                for (number, byte) in representatives.iter().enumerate() {
                    if set.contains(*byte) {
                        rows[(offset * classes + number) * words + bit / 64] |= 1 << (bit % 64);
                    }
                }
            }
        }
        let words_of_pairs = std::array::from_fn(|pair| {
            let row = |offset: usize, class: usize| &rows[(offset * classes + class) * words..][..words];
            let of = |classes_of_pair: usize| {
                let (first, second) = (classes_of_pair / classes, classes_of_pair % classes);
                let both = row(2 * pair, first).iter().zip(row(2 * pair + 1, second));
                let with_bits = (0_u32..).zip(both).filter(|(_, (first, second))| *first & *second != 0);
                with_bits.fold(0, |mask, (word, _)| mask | 1_u64 << word.min(63))
            };
            (0..classes * classes).map(of).collect()
        });
        let mut long = vec![0_u64; words];
        let (mut word_runs, mut token_runs) =
            (vec![u64::MAX; (MAX_COUNTED_RUN + 1) * words], vec![u64::MAX; (MAX_COUNTED_RUN + 1) * words]);
        for (bit, entry) in numbered() {
            let Some(runs) = entry.runs else { continue };
            long[bit / 64] |= 1 << (bit % 64);
            for length in 0..=MAX_COUNTED_RUN {
                for (rows, lengths) in [(&mut word_runs, runs.word), (&mut token_runs, runs.token)] {
                    if lengths >> length & 1 == 0 {
                        rows[length * words + bit / 64] &= !(1 << (bit % 64));
                    }
                }
            }
        }
        let anywhere_words = u64::MAX << start_words.min(63);
        Self { class, classes, words, start_words, anywhere_words, rows, words_of_pairs, long, word_runs, token_runs }
    }

    /// The bit of the first shape for anywhere.
    pub(crate) fn first_anywhere(&self) -> usize {
        self.start_words * 64
    }

    /// Words in a row of bits.
    pub(crate) fn words(&self) -> usize {
        self.words
    }

    /// Calls `each` with the bits of the ways to begin that fit these bytes, a word of 64 at a time; `begins` says whether a word
    /// can begin there, `matter` which words are asked for (the last bit: all further ones), `lengths` how many word characters and
    /// how many token characters stand there, up to [`MAX_COUNTED_RUN`].
    #[inline]
    pub(crate) fn for_each(
        &self,
        bytes: &[u8; DEPTH],
        begins: bool,
        matter: u64,
        mut lengths: impl FnMut() -> (usize, usize),
        mut each: impl FnMut(usize, u64),
    ) {
        let mut classes = [0; DEPTH];
        let mut left = matter & if begins { u64::MAX } else { self.anywhere_words };
        for (pair, words) in self.words_of_pairs.iter().enumerate() {
            for offset in [2 * pair, 2 * pair + 1] {
                classes[offset] = usize::from(self.class[usize::from(bytes[offset])]);
            }
            left &= words[classes[2 * pair] * self.classes + classes[2 * pair + 1]];
        }
        if left == 0 {
            return;
        }
        for offset in 2 * PAIRS..DEPTH {
            classes[offset] = usize::from(self.class[usize::from(bytes[offset])]);
        }
        let rows: [&[u64]; DEPTH] = std::array::from_fn(|offset| {
            let row = (offset * self.classes + classes[offset]) * self.words;
            &self.rows[row..row + self.words]
        });
        let mut lengths_here = None;
        while left != 0 {
            let word = left.trailing_zeros() as usize;
            left &= left - 1;
            // The last bit stands for all further words.
            for word in word..if word < 63 { word + 1 } else { self.words } {
                // A few at a time: most have no bit left after the first.
                let mut live = u64::MAX;
                for rows in rows.chunks(4) {
                    live &= rows.iter().fold(u64::MAX, |live, row| live & row[word]);
                    if live == 0 {
                        break;
                    }
                }
                if live & self.long[word] != 0 {
                    let (in_word, in_token) = *lengths_here.get_or_insert_with(&mut lengths);
                    live &= self.word_runs[in_word * self.words + word] & self.token_runs[in_token * self.words + word];
                }
                if live != 0 {
                    each(word, live);
                }
            }
        }
    }
}

/// How many word characters, and how many token characters, a text begins with.
pub(crate) fn run_lengths(text: &[u8]) -> (usize, usize) {
    let text = &text[..text.len().min(MAX_COUNTED_RUN)];
    let in_word = text.iter().take_while(|byte| is_word(**byte)).count();
    (in_word, in_word + text[in_word..].iter().take_while(|byte| is_token(**byte)).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::engine::beginning::Beginning;
    use crate::detect::engine::trigger::{Entry, parse};

    #[test]
    fn finds_the_shapes_that_can_begin() {
        let of = |pattern: &str| Entry { beginning: Beginning::of(&parse(pattern).unwrap()).unwrap(), runs: None };
        let start: Vec<Entry> =
            (0..70).map(|n| of(&format!(r"\b{}x[0-9]{{3}}\b", char::from(b'A' + n % 26)))).collect();
        let anywhere = [of("secret=")];
        let ways = |entries: &'static [Entry]| -> Vec<Way<'static>> {
            entries.iter().map(|entry| Way { entry, shape: 0, alone: false }).collect()
        };
        let table = LiveTable::new(&ways(start.leak()), &ways(Vec::from(anywhere).leak()));
        let live = |text: &[u8; DEPTH], begins| {
            let mut found = Vec::new();
            table.for_each(
                text,
                begins,
                u64::MAX,
                || run_lengths(text),
                |word, bits| found.extend((0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| word * 64 + bit)),
            );
            found
        };
        assert_eq!(live(b"Bx123 ......", true), [1, 27, 53]);
        assert_eq!(live(b"Bx123 ......", false), Vec::<usize>::new());
        assert_eq!(live(b"Bx1234......", true), Vec::<usize>::new());
        assert_eq!(live(b"secret=a....", false), [table.first_anywhere()]);
    }
}
