//! Where in a text could any of several hundred patterns start?
//!
//! Patterns are given by *buckets*: for each of the first [`DEPTH`] bytes the set of values it may have. A position is a
//! candidate when all its bytes fit one bucket, and, unless the bucket is for anywhere, a word can begin there: the byte
//! itself or the one before is no word character. Every position that fits is a candidate; candidates that do not quite
//! fit may be among them where a kernel works with coarser classes, so what follows must look again.
//!
//! Three kernels, chosen when the program runs: AVX-512 (VBMI: one instruction looks 64 bytes up in a table of 128), AVX2
//! (two tables of 16 for the halves of a byte, as in Hyperscan's Teddy), and a portable one. This is the only crate of the
//! workspace with `unsafe` code: the kernels' loads and intrinsics.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod byte_set;
mod letters;
mod portable;

pub use byte_set::ByteSet;
pub use letters::Letters;

/// How many bytes of a pattern's beginning are looked at.
pub const DEPTH: usize = 8;
/// Buckets for positions where a word can begin.
pub const START_BUCKETS: usize = 24;
/// Buckets for any position.
pub const ANYWHERE_BUCKETS: usize = 8;
/// Positions that one call of [`Prefilter::candidates`] answers for.
pub const BLOCK: usize = 4096;
/// Words of 64 positions in a block.
pub const WORDS: usize = BLOCK / 64;

/// Buckets are looked up eight at a time: one bit each in a byte.
const GROUPS: usize = (START_BUCKETS + ANYWHERE_BUCKETS) / 8;
const ANYWHERE_GROUP: usize = START_BUCKETS / 8;

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
    tables: Box<Tables>,
}

/// What the kernels read.
#[repr(C, align(64))]
struct Tables {
    /// By group, offset and byte below 128: the buckets that allow it. Byte 1 stands for all bytes from 128 on, too.
    ascii: [[[u8; 128]; DEPTH]; GROUPS],
    /// By group and offset, for the low and the high half of a byte; twice the same 16, for both halves of a register.
    nibbles: [[[[u8; 32]; 2]; DEPTH]; GROUPS],
    /// By offset and byte: all buckets, one bit each.
    exact: [[u32; 256]; DEPTH],
    /// Groups for word starts that have a bucket at all, from 0.
    start_groups: usize,
    /// Whether there are buckets for anywhere.
    anywhere: bool,
}

/// What stands for bytes from 128 on in tables of 128: a control character that no text has.
const NON_ASCII: u8 = 1;

impl Prefilter {
    /// Makes the tables, for the fastest kernel of this machine. Of more buckets than there is room for, the rest is
    /// merged into the last one.
    #[must_use]
    pub fn new(start: &[Bucket], anywhere: &[Bucket]) -> Self {
        Self::with_kernel(Kernel::available()[0], start, anywhere)
    }

    /// The same for one kernel, which must be one of [`Kernel::available`]; another is replaced by the portable one.
    #[must_use]
    pub fn with_kernel(kernel: Kernel, start: &[Bucket], anywhere: &[Bucket]) -> Self {
        let kernel = if Kernel::available().contains(&kernel) { kernel } else { Kernel::Portable };
        let mut tables = Box::new(Tables {
            ascii: [[[0; 128]; DEPTH]; GROUPS],
            nibbles: [[[[0; 32]; 2]; DEPTH]; GROUPS],
            exact: [[0; 256]; DEPTH],
            start_groups: start.len().min(START_BUCKETS).div_ceil(8),
            anywhere: !anywhere.is_empty(),
        });
        for (number, bucket) in start.iter().enumerate() {
            tables.add(number.min(START_BUCKETS - 1), bucket);
        }
        for (number, bucket) in anywhere.iter().enumerate() {
            tables.add(START_BUCKETS + number.min(ANYWHERE_BUCKETS - 1), bucket);
        }
        Self { kernel, tables }
    }

    /// Which kernel it uses.
    #[must_use]
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Candidates among the positions `from..from + BLOCK` of a text: bit `i` of word `w` is position `from + 64 w + i`.
    /// Returns the number of words filled. Bytes before `from` are looked at for word starts, bytes behind the block for
    /// what follows; behind the end of the text zero bytes are assumed.
    pub fn candidates(&self, text: &[u8], from: usize, masks: &mut [u64; WORDS]) -> usize {
        let to = text.len().min(from.saturating_add(BLOCK));
        if from >= to {
            return 0;
        }
        let words = (to - from).div_ceil(64);
        // A word is done in the text itself as long as it and the bytes that follow are in it.
        let readable = text.len().saturating_sub(from);
        let direct = if readable < 64 + DEPTH { 0 } else { ((readable - DEPTH) / 64).min(words) };
        let mut carry = from > 0 && is_word(text[from - 1]);
        self.run(&text[from..], direct, &mut carry, &mut masks[..direct]);
        let mut done = direct;
        while done < words {
            // The end, with zeros behind it.
            let at = from + done * 64;
            let mut padded = [0_u8; 64 + DEPTH];
            let rest = text.len().min(at + padded.len()) - at;
            padded[..rest].copy_from_slice(&text[at..at + rest]);
            let mut mask = [0];
            self.run(&padded, 1, &mut carry, &mut mask);
            let inside = to - at;
            masks[done] = if inside < 64 { mask[0] & ((1 << inside) - 1) } else { mask[0] };
            done += 1;
        }
        words
    }

    /// `words` words from the beginning of `text`, which is at least `64 * words + DEPTH - 1` long when there is one.
    #[allow(unsafe_code, reason = "calls of functions for instructions that the machine has")]
    fn run(&self, text: &[u8], words: usize, carry: &mut bool, masks: &mut [u64]) {
        if words == 0 {
            return;
        }
        assert!(text.len() >= 64 * words + DEPTH - 1 && masks.len() >= words, "checked by the caller");
        match self.kernel {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `with_kernel` takes only kernels that this machine can run; the lengths were asserted above.
            Kernel::Avx512 => unsafe { avx512::candidates(&self.tables, text, words, carry, masks) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Kernel::Avx2 => unsafe { avx2::candidates(&self.tables, text, words, carry, masks) },
            _ => portable::candidates(&self.tables, text, words, carry, masks),
        }
    }
}

impl Tables {
    fn add(&mut self, number: usize, bucket: &Bucket) {
        let (group, bit) = (number / 8, 1_u8 << (number % 8));
        for (offset, set) in bucket.sets.iter().enumerate() {
            for byte in set.iter() {
                self.exact[offset][usize::from(byte)] |= 1 << number;
                let slot = if byte < 128 { byte } else { NON_ASCII };
                self.ascii[group][offset][usize::from(slot)] |= bit;
                for half in [0, 16] {
                    self.nibbles[group][offset][0][half + usize::from(byte & 15)] |= bit;
                    self.nibbles[group][offset][1][half + usize::from(byte >> 4)] |= bit;
                }
            }
        }
    }
}

/// A word character as in `\b` of an ASCII regex.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests;
