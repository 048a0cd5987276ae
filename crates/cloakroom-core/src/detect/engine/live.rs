//! Which shapes can begin at a candidate position: a bit-parallel table over the first bytes. Each way to begin is a bit; the bits of
//! those that allow a byte at an offset are one row, and the rows of a position's bytes are combined until none is left.

use cloakroom_prefilter::{ByteSet, is_token};

use super::beginning::{DEPTH, is_word};
use super::trigger::{Entry, MAX_COUNTED_RUN};

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
    /// By the classes of the first two bytes: the words that have a bit left then, one bit each; the last bit stands for all further
    /// words.
    words_of_pair: Vec<u32>,
    /// The bits that depend on how long the run at the beginning is.
    long: Vec<u64>,
    /// By length of the run of word characters, and of token characters, and by word.
    word_runs: Vec<u64>,
    token_runs: Vec<u64>,
}

impl LiveTable {
    /// The bit of a start shape is its number; that of an anywhere shape is [`LiveTable::first_anywhere`] and its number.
    pub(crate) fn new(start: &[&Entry], anywhere: &[&Entry]) -> Self {
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
        let mut words_of_pair = vec![0_u32; classes * classes];
        for (pair, mask) in words_of_pair.iter_mut().enumerate() {
            let (first, second) = (pair / classes, pair % classes);
            for word in 0..words {
                if rows[first * words + word] & rows[(classes + second) * words + word] != 0 {
                    *mask |= 1 << word.min(31);
                }
            }
        }
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
        Self { class, classes, words, start_words, rows, words_of_pair, long, word_runs, token_runs }
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
    /// can begin there, `lengths` how many word characters and how many token characters stand there, up to [`MAX_COUNTED_RUN`].
    #[inline]
    pub(crate) fn for_each(
        &self,
        bytes: &[u8; DEPTH],
        begins: bool,
        mut lengths: impl FnMut() -> (usize, usize),
        mut each: impl FnMut(usize, u64),
    ) {
        let [first, second] = [bytes[0], bytes[1]].map(|byte| usize::from(self.class[usize::from(byte)]));
        let mut left = self.words_of_pair[first * self.classes + second];
        if !begins {
            left &= u32::MAX << self.start_words.min(31);
        }
        while left != 0 {
            let word = left.trailing_zeros() as usize;
            left &= left - 1;
            let last = if word == 31 { self.words } else { word + 1 };
            for word in word..last {
                if begins || word >= self.start_words {
                    self.live_in(word, (first, second), bytes, &mut lengths, &mut each);
                }
            }
        }
    }

    #[inline]
    fn live_in(
        &self,
        word: usize,
        (first, second): (usize, usize),
        bytes: &[u8; DEPTH],
        lengths: &mut impl FnMut() -> (usize, usize),
        each: &mut impl FnMut(usize, u64),
    ) {
        let mut live = self.rows[first * self.words + word] & self.rows[(self.classes + second) * self.words + word];
        for (offset, byte) in bytes.iter().enumerate().skip(2) {
            if live == 0 {
                return;
            }
            let class = usize::from(self.class[usize::from(*byte)]);
            live &= self.rows[(offset * self.classes + class) * self.words + word];
        }
        if live & self.long[word] != 0 {
            let (in_word, in_token) = lengths();
            live &= self.word_runs[in_word * self.words + word] & self.token_runs[in_token * self.words + word];
        }
        if live != 0 {
            each(word, live);
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
    use crate::detect::engine::trigger::parse;

    #[test]
    fn finds_the_shapes_that_can_begin() {
        let of = |pattern: &str| Entry { beginning: Beginning::of(&parse(pattern).unwrap().nfa), runs: None };
        let start: Vec<Entry> =
            (0..70).map(|n| of(&format!(r"\b{}x[0-9]{{3}}\b", char::from(b'A' + n % 26)))).collect();
        let anywhere = [of("secret=")];
        let table = LiveTable::new(&start.iter().collect::<Vec<_>>(), &anywhere.iter().collect::<Vec<_>>());
        let live = |text: &[u8; DEPTH], begins| {
            let mut found = Vec::new();
            table.for_each(
                text,
                begins,
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
