//! Where phrases could begin: their first words, of which most words of a text are none.
//!
//! The first letters of the words are shared out to the few buckets of a prefilter, which takes most of a text; the hash of a whole word
//! takes most of what is left.

use cloakroom_prefilter::{BLOCK, Bucket, Buffers, ByteSet, DEPTH, LongRuns, Prefilter};

use super::words::{self, WINDOW, Words};

/// The first words of some phrases.
pub(crate) struct Beginnings {
    /// For words that whole texts are read for.
    prefilter: Option<Prefilter>,
    /// A bit for some bits of each word's hash.
    known: Box<[u64]>,
}

/// Buckets of the prefilter: with more it would let less by and take longer.
const WORD_BUCKETS: usize = 24;
/// Bits in `known` for each word: few unknown words get by, and what is small stays in the cache.
const SPARSE: usize = 32;

impl Beginnings {
    /// For words of two letters and more. `everywhere`: whole texts are read for them.
    pub(super) fn new(words: &[&[u8]], everywhere: bool) -> Self {
        let known = vec![0; (SPARSE * words.len() / 64).next_power_of_two()];
        let mut beginnings = Self { prefilter: everywhere.then(|| prefilter(words)), known: known.into() };
        for word in words {
            let (place, bit) = beginnings.place(words::key(word, 0, word.len()));
            beginnings.known[place] |= bit;
        }
        beginnings
    }

    /// Where a word has its bit in `known`.
    #[inline]
    fn place(&self, key: u64) -> (usize, u64) {
        // The length is a power of two.
        ((key >> 6) as usize & (self.known.len() - 1), 1 << (key % 64))
    }

    /// Calls `each` with the places in up to a block of a text where one of the words begins, in order, and with few others. Returns
    /// where it has stopped.
    #[inline]
    pub(super) fn find(
        &self,
        text: &[u8],
        from: usize,
        to: usize,
        work: &mut Work,
        mut each: impl FnMut(FirstWord),
    ) -> usize {
        let Work { buffers, known } = work;
        let to = to.min(from + BLOCK);
        let words = self.prefilter.as_ref().map(|prefilter| prefilter.candidates(text, from..to, buffers));
        for (word, at) in (from..to).step_by(WINDOW).enumerate() {
            let mask = if words.is_some() { buffers.masks[word] } else { u64::MAX >> (WINDOW - (to - at).min(WINDOW)) };
            if mask != 0 {
                let count = self.look(text, at, mask, known);
                known[..count].iter().copied().for_each(&mut each);
            }
        }
        to
    }

    /// Looks at candidates among 64 places. Returns how many of them are known.
    #[inline]
    fn look(&self, text: &[u8], at: usize, mask: u64, known: &mut [FirstWord; WINDOW]) -> usize {
        let around = Words::at(text, at);
        // What stands before the first place and behind the last one is not among the 64.
        let mut begins = around.begins & !(1 | 1 << (WINDOW - 1));
        begins |= u64::from(mask & 1 == 1 && words::begins_at(text, at));
        begins |= u64::from(mask >> (WINDOW - 1) == 1 && words::begins_at(text, at + WINDOW - 1)) << (WINDOW - 1);
        let mut left = mask & begins;
        let mut count = 0;
        while left != 0 {
            let start = left.trailing_zeros() as usize;
            left &= left - 1;
            let mut end = around.end_of(start);
            if end == WINDOW {
                end = Words::at(text, at + start).end_of(0) + start;
            }
            // No branch for each.
            let key = words::key(text, at + start, end - start);
            let (place, bit) = self.place(key);
            known[count] = FirstWord { start: at + start, end: at + end, key };
            count += usize::from(self.known[place] & bit != 0);
        }
        count
    }
}

/// A word that may be a first one.
#[derive(Clone, Copy, Default)]
pub(super) struct FirstWord {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Its hash.
    pub(super) key: u64,
}

/// What a search needs to remember.
pub(super) struct Work {
    buffers: Box<Buffers>,
    known: Box<[FirstWord; WINDOW]>,
}

impl Default for Work {
    fn default() -> Self {
        Self { buffers: Box::default(), known: Box::new([FirstWord::default(); WINDOW]) }
    }
}

/// What stands at each place of a word: bit `n` for the letter `n` of the alphabet, [`BEYOND`], [`END`].
type Sets = [u32; DEPTH];

/// A byte from 128 on.
const BEYOND: usize = 26;
/// The word has ended.
const END: usize = 27;
/// All of them: nothing is known.
const ANY: u32 = (1 << 28) - 1;

/// How common they are in text; the sum is 1.
const SHARES: [f32; 28] = [
    0.058, 0.013, 0.032, 0.028, 0.090, 0.015, 0.016, 0.019, 0.056, 0.005, 0.009, 0.034, 0.022, 0.053, 0.055, 0.021,
    0.003, 0.054, 0.053, 0.068, 0.024, 0.009, 0.008, 0.007, 0.013, 0.005, 0.020, 0.210,
];

/// A prefilter that names every place where one of these words begins, in small letters and capitals, and few others.
fn prefilter(words: &[&[u8]]) -> Prefilter {
    let mut sets: Vec<Sets> = words.iter().map(|word| first_letters(word)).collect();
    sets.sort_unstable();
    sets.dedup();
    let buckets: Vec<Bucket> = share_out(sets).iter().map(bucket).collect();
    Prefilter::new(&[], &buckets, LongRuns::default())
}

fn first_letters(word: &[u8]) -> Sets {
    let mut sets = [ANY; DEPTH];
    for (set, byte) in sets.iter_mut().zip(word) {
        let letter = byte.to_ascii_lowercase();
        *set = 1 << if letter.is_ascii() { usize::from(letter - b'a') } else { BEYOND };
    }
    if let Some(end) = sets.get_mut(word.len()) {
        *end = 1 << END;
    }
    sets
}

/// A bucket of words, and how common it makes each of its places.
#[derive(Clone)]
struct Shared {
    sets: Sets,
    shares: [f32; DEPTH],
}

impl Shared {
    /// With one word more. Its sets are of one letter, or [`ANY`].
    fn with(&self, word: &Sets) -> Self {
        let mut grown = self.clone();
        for (offset, set) in word.iter().enumerate() {
            if grown.sets[offset] & set != *set {
                grown.shares[offset] =
                    if *set == ANY { 1.0 } else { grown.shares[offset] + SHARES[set.trailing_zeros() as usize] };
                grown.sets[offset] |= set;
            }
        }
        grown
    }

    fn share(&self) -> f32 {
        self.shares.iter().product()
    }
}

/// Puts every word into the bucket that grows least by it, the commonest first.
fn share_out(words: Vec<Sets>) -> Vec<Sets> {
    let empty = Shared { sets: [0; DEPTH], shares: [0.0; DEPTH] };
    let mut alone: Vec<Shared> = words.iter().map(|word| empty.with(word)).collect();
    alone.sort_by(|a, b| b.share().total_cmp(&a.share()));
    let mut buckets: Vec<(f32, Shared)> = Vec::new();
    for word in alone {
        if buckets.len() < WORD_BUCKETS {
            buckets.push((word.share(), word));
            continue;
        }
        let growth = |(before, bucket): &(f32, Shared)| bucket.with(&word.sets).share() - before;
        let best = buckets.iter().map(growth).enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
        if let Some((index, _)) = best {
            let grown = buckets[index].1.with(&word.sets);
            buckets[index] = (grown.share(), grown);
        }
    }
    buckets.into_iter().map(|(_, bucket)| bucket.sets).collect()
}

fn bucket(sets: &Sets) -> Bucket {
    let bytes = |set: &u32| {
        if *set == ANY {
            return ByteSet::ALL;
        }
        // What ends a word may be a capital: that of `cardNumber`.
        let is_in = |byte: &u8| match byte {
            b'a'..=b'z' => set >> (byte - b'a') & 1 == 1,
            b'A'..=b'Z' => set >> (byte - b'A') & 1 == 1 || set >> END & 1 == 1,
            0x80.. => set >> BEYOND & 1 == 1,
            _ => set >> END & 1 == 1,
        };
        (0..=255).filter(is_in).collect()
    };
    Bucket { sets: std::array::from_fn(|offset| bytes(&sets[offset])) }
}
