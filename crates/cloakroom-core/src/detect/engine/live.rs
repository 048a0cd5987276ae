//! Which shapes can begin at a candidate position: a bit-parallel table over the first bytes. Each way to begin is a bit; the bits of
//! those that allow a byte at an offset are one row, and the rows of a position's bytes are combined until none is left.

use cloakroom_prefilter::{ByteSet, is_token};

use super::beginning::{DEPTH, is_word};
use super::trigger::{MAX_COUNTED_RUN, Runs};
use super::watch::Way;

/// Words that are combined at once.
const LANES: usize = 4;
type Chunk = [u64; LANES];
/// By byte. Two more than there are: with a distance of 8,192 bytes, the rows of equal bytes would share one line of the cache.
type Row = [Chunk; 258];
/// How many bytes say which chunks to look at.
const TELLING: usize = 6;

/// Which bit stands for a word in a mask of chunks; the last one stands for all further chunks.
pub(crate) fn chunk_bit(word: usize) -> u32 {
    1 << (word / LANES).min(31)
}

/// The table. Shapes for word starts come first, those for anywhere begin with a chunk of their own.
pub(crate) struct LiveTable {
    /// By chunk, offset and byte.
    rows: Vec<[Row; DEPTH]>,
    /// Chunks of shapes for word starts; the rest is for anywhere.
    start_chunks: usize,
    /// For each of the first bytes: the chunks that have a bit for it.
    telling: [[u32; 256]; TELLING],
    /// The bits that depend on how long the run at the beginning is.
    long: Vec<u64>,
    /// By length of the run of word characters, and of token characters, and by word.
    word_runs: Vec<u64>,
    token_runs: Vec<u64>,
}

impl LiveTable {
    /// The bit of a start shape is its number; that of an anywhere shape is [`LiveTable::first_anywhere`] and its number.
    pub(crate) fn new(start: &[Way<'_>], anywhere: &[Way<'_>]) -> Self {
        let start_chunks = start.len().div_ceil(64 * LANES);
        let chunks = start_chunks + anywhere.len().div_ceil(64 * LANES);
        let words = chunks * LANES;
        let numbered = || {
            let start = (0..).zip(start.iter().map(|way| way.entry));
            start.chain((start_chunks * LANES * 64..).zip(anywhere.iter().map(|way| way.entry)))
        };
        // Bytes with the same bits everywhere are of one class: one of each is looked at.
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
        let mut rows = vec![[[[0; LANES]; 258]; DEPTH]; chunks];
        for (bit, entry) in numbered() {
            let (word, bit) = (bit / 64, bit % 64);
            for (offset, set) in entry.beginning.sets.iter().enumerate() {
                let row = &mut rows[word / LANES][offset];
                for byte in representatives.iter().filter(|byte| set.contains(**byte)) {
                    row[usize::from(*byte)][word % LANES] |= 1 << bit;
                }
            }
        }
        let mut telling = [[0; 256]; TELLING];
        for byte in 0..256 {
            let like = usize::from(representatives[usize::from(class[byte])]);
            for (chunk, rows) in rows.iter_mut().enumerate() {
                for (offset, row) in rows.iter_mut().enumerate() {
                    row[byte] = row[like];
                    if offset < TELLING && row[byte] != [0; LANES] {
                        telling[offset][byte] |= chunk_bit(chunk * LANES);
                    }
                }
            }
        }
        let mut long = vec![0_u64; words];
        let (mut word_runs, mut token_runs) =
            (vec![u64::MAX; (MAX_COUNTED_RUN + 1) * words], vec![u64::MAX; (MAX_COUNTED_RUN + 1) * words]);
        for (bit, entry) in numbered() {
            let runs = entry.runs;
            if runs == Runs::ANY {
                continue;
            }
            long[bit / 64] |= 1 << (bit % 64);
            for length in 0..=MAX_COUNTED_RUN {
                for (rows, lengths) in [(&mut word_runs, runs.word), (&mut token_runs, runs.token)] {
                    if lengths >> length & 1 == 0 {
                        rows[length * words + bit / 64] &= !(1 << (bit % 64));
                    }
                }
            }
        }
        Self { rows, start_chunks, telling, long, word_runs, token_runs }
    }

    /// The bit of the first shape for anywhere.
    pub(crate) fn first_anywhere(&self) -> usize {
        self.start_chunks * LANES * 64
    }

    /// Words in a row of bits.
    pub(crate) fn words(&self) -> usize {
        self.rows.len() * LANES
    }

    /// Calls `each` with the bits of the ways to begin that fit these bytes, a word of 64 at a time; `begins` says whether a word
    /// can begin there, `matter` which chunks are asked for (see [`chunk_bit`]), `lengths` how many word characters and
    /// how many token characters stand there, up to [`MAX_COUNTED_RUN`].
    #[inline]
    pub(crate) fn for_each(
        &self,
        bytes: &[u8; DEPTH],
        begins: bool,
        matter: u32,
        lengths: impl Fn() -> (usize, usize),
        mut each: impl FnMut(usize, u64),
    ) {
        let mut left = matter & if begins { u32::MAX } else { u32::MAX << self.start_chunks.min(31) };
        for (telling, byte) in self.telling.iter().zip(bytes) {
            left &= telling[usize::from(*byte)];
        }
        while left != 0 {
            let first = left.trailing_zeros() as usize;
            left &= left - 1;
            let last = if first < 31 { first + 1 } else { self.rows.len() };
            for (chunk, rows) in self.rows[..last].iter().enumerate().skip(first) {
                // Straight through: branches here would be guessed wrong too often.
                let mut live = [u64::MAX; LANES];
                for (row, byte) in rows.iter().zip(bytes) {
                    for (live, row) in live.iter_mut().zip(&row[usize::from(*byte)]) {
                        *live &= row;
                    }
                }
                if live.iter().fold(0, |any, live| any | live) == 0 {
                    continue;
                }
                for (lane, mut live) in live.into_iter().enumerate() {
                    let word = chunk * LANES + lane;
                    if live != 0 && live & self.long[word] != 0 {
                        let (in_word, in_token) = lengths();
                        let words = self.words();
                        live &= self.word_runs[in_word * words + word] & self.token_runs[in_token * words + word];
                    }
                    if live != 0 {
                        each(word, live);
                    }
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
        let of = |pattern: &str| Entry { beginning: Beginning::of(&parse(pattern).unwrap()).unwrap(), runs: Runs::ANY };
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
                u32::MAX,
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
