//! Where in a text could any of several hundred patterns start?
//!
//! Patterns are given by *buckets*: for each of the first [`DEPTH`] bytes the set of values it may have. A position is a
//! candidate when all its bytes fit one bucket, and, unless the bucket is for anywhere, a word can begin there: the byte
//! itself or the one before is no word character. Every position that fits is a candidate; candidates that do not quite
//! fit may be among them where a kernel works with coarser classes, so what follows must look again.
//!
//! Patterns that begin with a long run of word or token characters (keys, hashes) tell little by their first eight bytes: every
//! long word fits. For them there is one more question: does a run of [`LONG_RUN`] such characters begin here?
//!
//! Three kernels, chosen when the program runs: AVX-512 (VBMI: one instruction looks 64 bytes up in a table of 64), AVX2
//! (two tables of 16 for the halves of a byte, as in Hyperscan's Teddy), and a portable one. The kernels' loads
//! and intrinsics are `unsafe` code, which the workspace else forbids.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod byte_set;
mod classes;
mod letters;
mod portable;

use std::ops::Range;

pub use byte_set::ByteSet;
use classes::CLASSES;
pub use letters::Letters;

/// How many bytes of a pattern's beginning are looked at.
pub const DEPTH: usize = 8;
/// Buckets in all.
pub const BUCKETS: usize = 64;
/// Of them, at most for positions where a word can begin. Those for any position may have the others.
pub const START_BUCKETS: usize = 48;
/// Characters that a long run has at least: letters, digits, `_`, and for tokens the signs of [`is_token`].
pub const LONG_RUN: usize = 15;
/// Positions that one call of [`Prefilter::candidates`] answers for.
pub const BLOCK: usize = 4096;
/// Words of 64 positions in a block.
pub const WORDS: usize = BLOCK / 64;

/// Buckets are looked up eight at a time: one bit each in a byte.
const GROUPS: usize = BUCKETS / 8;

/// What the first bytes of a group of patterns may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The values of each byte. Where the shortest pattern has ended: all.
    pub sets: [ByteSet; DEPTH],
}

/// Which instructions are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// AVX-512 with byte permutation (F, BW, VBMI).
    Avx512,
    /// AVX2.
    Avx2,
    /// No instructions beyond the target's own.
    Portable,
}

impl Kernel {
    /// Every kernel that this machine can run, the fastest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut kernels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vbmi")
            {
                kernels.push(Self::Avx512);
            }
            if is_x86_feature_detected!("avx2") {
                kernels.push(Self::Avx2);
            }
        }
        kernels.push(Self::Portable);
        kernels
    }
}

/// Tables for the kernels. The bit of a bucket in a group of eight is its number modulo 8.
pub struct Prefilter {
    kernel: Kernel,
    long_runs: LongRuns,
    tables: Box<Tables>,
}

/// What the kernels read.
#[repr(C, align(64))]
struct Tables {
    /// By byte below 128: its class. Byte 1 stands for all bytes from 128 on, too.
    class: [u8; 128],
    /// By group, offset and class: the buckets that allow it.
    by_class: [[[u8; CLASSES]; DEPTH]; GROUPS],
    /// By group and offset, for the low and the high half of a byte; twice the same 16, for both halves of a register.
    nibbles: [[[[u8; 32]; 2]; DEPTH]; GROUPS],
    /// By offset and byte: all buckets, one bit each.
    exact: [[u64; 256]; DEPTH],
    /// The first groups are for word starts.
    start_groups: usize,
    /// The next ones are for anywhere.
    anywhere_groups: usize,
}

/// What stands for bytes from 128 on in tables of 128: a control character that no text has.
const NON_ASCII: u8 = 1;

impl Prefilter {
    /// Makes the tables, for the fastest kernel of this machine. `long_runs`: word starts with a long run are candidates, too. Of
    /// more buckets than there is room for, the rest is merged into the last one.
    #[must_use]
    pub fn new(start: &[Bucket], anywhere: &[Bucket], long_runs: LongRuns) -> Self {
        Self::with_kernel(Kernel::available()[0], start, anywhere, long_runs)
    }

    /// The same for one kernel, which must be one of [`Kernel::available`]; another is replaced by the portable one.
    #[must_use]
    pub fn with_kernel(kernel: Kernel, start: &[Bucket], anywhere: &[Bucket], long_runs: LongRuns) -> Self {
        let kernel = if Kernel::available().contains(&kernel) { kernel } else { Kernel::Portable };
        let start_groups = start.len().min(START_BUCKETS).div_ceil(8);
        let first_anywhere = 8 * start_groups;
        let mut tables = Box::new(Tables {
            class: [0; 128],
            by_class: [[[0; CLASSES]; DEPTH]; GROUPS],
            nibbles: [[[[0; 32]; 2]; DEPTH]; GROUPS],
            exact: [[0; 256]; DEPTH],
            start_groups,
            anywhere_groups: anywhere.len().min(BUCKETS - first_anywhere).div_ceil(8),
        });
        for (number, bucket) in start.iter().enumerate() {
            tables.add(number.min(START_BUCKETS - 1), bucket);
        }
        for (number, bucket) in anywhere.iter().enumerate() {
            tables.add((first_anywhere + number).min(BUCKETS - 1), bucket);
        }
        tables.classify();
        Self { kernel, long_runs, tables }
    }

    /// Which kernel it uses.
    #[must_use]
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Candidates among the positions of a range of a text, the first [`BLOCK`] of them: bit `i` of word `w` of the masks is
    /// position `range.start + 64 w + i`; the runs say more of the same words. Returns the number of words filled. Bytes before the range
    /// are looked at for word starts, bytes behind it for what follows; behind the end of the text zero bytes are assumed.
    pub fn candidates(&self, text: &[u8], range: Range<usize>, buffers: &mut Buffers) -> usize {
        let Buffers { classes, masks, runs } = buffers;
        let from = range.start;
        let to = range.end.min(text.len()).min(from.saturating_add(BLOCK));
        if from >= to {
            return 0;
        }
        let words = (to - from).div_ceil(64);
        // A word is done in the text itself as long as it and the bytes that follow are in it.
        let readable = text.len().saturating_sub(from);
        let direct = match self.kernel {
            // It loads no more than there is.
            Kernel::Avx512 => words,
            _ if readable < 64 + DEPTH => 0,
            _ => ((readable - DEPTH) / 64).min(words),
        };
        let mut carry = from > 0 && is_word(text[from - 1]);
        // One word more than there are: what follows the block is not known, and may be a token.
        runs[words] = Run { begins: 0, words: u64::MAX, tokens: u64::MAX };
        self.run(&text[from..], direct, &mut carry, classes, &mut masks[..direct], runs);
        let mut done = direct;
        while done < words {
            // The end, with zeros behind it.
            let at = from + done * 64;
            let mut padded = [0_u8; 64 + DEPTH];
            let rest = text.len().min(at + padded.len()) - at;
            padded[..rest].copy_from_slice(&text[at..at + rest]);
            self.run(&padded, 1, &mut carry, classes, &mut masks[done..=done], &mut runs[done..]);
            done += 1;
        }
        if self.long_runs != LongRuns::default() {
            for (word, mask) in masks[..words].iter_mut().enumerate() {
                let (Run { begins, words, tokens }, next) = (runs[word], runs[word + 1]);
                // Not those that go on from a token: the second half of a UUID. What stands before the 64 is not looked at.
                let joined = (tokens & !words) << 1 & words << 2;
                *mask |= begins
                    & match self.long_runs.tokens {
                        Tokens::No => 0,
                        Tokens::Alone => words & long_runs(tokens, next.tokens) & !joined,
                        Tokens::All => long_runs(tokens, next.tokens),
                    };
                if self.long_runs.words {
                    *mask |= begins & long_runs(words, next.words);
                }
            }
        }
        let inside = to - from;
        if !inside.is_multiple_of(64) {
            masks[words - 1] &= (1 << (inside % 64)) - 1;
        }
        words
    }

    /// `words` words from the beginning of `text`, which is at least `64 * words + DEPTH - 1` long when there is one; for AVX-512 the
    /// last of them may be cut short.
    #[allow(unsafe_code, reason = "calls of functions for instructions that the machine has")]
    fn run(
        &self,
        text: &[u8],
        words: usize,
        carry: &mut bool,
        classes: &mut ClassBuffer,
        masks: &mut [u64],
        runs: &mut [Run],
    ) {
        if words == 0 {
            return;
        }
        let needed = if self.kernel == Kernel::Avx512 { 64 * (words - 1) + 1 } else { 64 * words + DEPTH - 1 };
        assert!(
            text.len() >= needed && masks.len() >= words && runs.len() >= words && words <= WORDS,
            "checked by the caller"
        );
        match self.kernel {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `with_kernel` takes only kernels that this machine can run; the lengths were asserted above.
            Kernel::Avx512 => unsafe { avx512::candidates(&self.tables, text, words, carry, classes, masks, runs) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Kernel::Avx2 => unsafe { avx2::candidates(&self.tables, text, words, carry, masks, runs) },
            _ => portable::candidates(&self.tables, text, words, carry, masks, runs),
        }
    }
}

/// The classes of the bytes of a block, and of those that follow.
type ClassBuffer = [u8; BLOCK + 64];

impl Tables {
    /// Fills in the classes from the exact table.
    fn classify(&mut self) {
        let mut columns = [[0; DEPTH]; 128];
        for (offset, exact) in self.exact.iter().enumerate() {
            for (byte, buckets) in exact.iter().enumerate() {
                columns[if byte < 128 { byte } else { usize::from(NON_ASCII) }][offset] |= buckets;
            }
        }
        let (class, by_class) = classes::classes(&columns);
        self.class = class;
        for (class, column) in by_class.iter().enumerate() {
            for (offset, buckets) in column.iter().enumerate() {
                for (group, bits) in buckets.to_le_bytes().into_iter().enumerate() {
                    self.by_class[group][offset][class] = bits;
                }
            }
        }
    }

    fn add(&mut self, number: usize, bucket: &Bucket) {
        let (group, bit) = (number / 8, 1_u8 << (number % 8));
        for (offset, set) in bucket.sets.iter().enumerate() {
            for byte in set.iter() {
                self.exact[offset][usize::from(byte)] |= 1 << number;
                for half in [0, 16] {
                    self.nibbles[group][offset][0][half + usize::from(byte & 15)] |= bit;
                    self.nibbles[group][offset][1][half + usize::from(byte >> 4)] |= bit;
                }
            }
        }
    }
}

/// What [`Prefilter::candidates`] says of a block.
pub struct Buffers {
    classes: ClassBuffer,
    /// The candidates.
    pub masks: [u64; WORDS],
    /// What else is known.
    pub runs: [Run; WORDS + 1],
}

impl Default for Buffers {
    fn default() -> Self {
        Self { classes: [0; BLOCK + 64], masks: [0; WORDS], runs: [Run::default(); WORDS + 1] }
    }
}

/// Which word starts with a long run are candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LongRuns {
    /// Those with a run of word characters.
    pub words: bool,
    /// Those with a run of token characters.
    pub tokens: Tokens,
}

/// Which word starts with a long run of token characters are candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tokens {
    /// None.
    #[default]
    No,
    /// Those that begin with a word character, and do not go on from another token by one of its signs.
    Alone,
    /// All of them.
    All,
}

/// What is also known of 64 positions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    /// A word can begin here.
    pub begins: u64,
    /// A word character stands here.
    pub words: u64,
    /// A token character stands here.
    pub tokens: u64,
}

/// The lengths of the runs of word characters and of token characters from a position of a block on, as [`Prefilter::candidates`] has
/// filled `runs`, counted up to `most`; `None` where a shorter run goes on behind the block.
#[must_use]
#[inline]
pub fn run_lengths(runs: &[Run], at: usize, most: usize) -> Option<(usize, usize)> {
    let length = |bits: fn(&Run) -> u64| {
        let (word, bit) = (at / 64, at % 64);
        let here = (!(bits(runs.get(word)?) >> bit)).trailing_zeros() as usize;
        if here < 64 - bit {
            return Some(here.min(most));
        }
        let mut length = 64 - bit;
        for run in runs.get(word + 1..)? {
            if length >= most {
                break;
            }
            let more = (!bits(run)).trailing_zeros() as usize;
            length += more;
            if more < 64 {
                return Some(length.min(most));
            }
        }
        (length >= most).then_some(most)
    };
    Some((length(|run| run.words)?, length(|run| run.tokens)?))
}

/// Positions from which on 15 characters of a kind stand, given those of this word and of the next.
fn long_runs(these: u64, next: u64) -> u64 {
    let mut run = u128::from(these) | u128::from(next) << 64;
    for shift in [1, 2, 4, LONG_RUN - 8] {
        run &= run >> shift;
    }
    run as u64
}

/// A character of tokens: letters, digits, `_`, `-`, `+` and `/`.
#[must_use]
pub fn is_token(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'-' | b'+' | b'/')
}

/// A word character as in `\b` of an ASCII regex.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests;
