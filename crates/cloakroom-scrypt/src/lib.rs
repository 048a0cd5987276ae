//! scrypt (RFC 7914) with r = 8 and p = 1 for many independent inputs at once.
//!
//! One scrypt is a chain of steps that wait for each other; the units of a core stand idle most of the time. Independent
//! ones fill them: their blocks lie side by side in vector registers. Three kernels, chosen when the program runs: AVX-512
//! (eight instances), AVX2 (four) and a portable one. All give what the `scrypt` crate gives, which the tests hold
//! them against.
//!
//! ```
//! use cloakroom_scrypt::{Input, Scrypt};
//!
//! let mut scrypt = Scrypt::new(1024);
//! let keys = scrypt.derive(&[Input { password: &[b"user", b"master key"], salt: b"salt" }]);
//! assert_eq!(keys.len(), 1);
//! ```

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod body;
mod portable;
#[cfg(test)]
mod tests;

use body::{ROWS, WORDS};
use pbkdf2::pbkdf2_hmac;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// Which instructions are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// AVX-512 (F).
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
            if is_x86_feature_detected!("avx512f") {
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

/// What one key is derived from.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The password, in parts that are joined without anything between them.
    pub password: &'a [&'a [u8]],
    /// The salt.
    pub salt: &'a [u8],
}

/// A derived key of 32 bytes, wiped when it is dropped.
pub type Key = Zeroizing<[u8; 32]>;

/// The memory that a kernel works in, kept between calls. Wiped at the end of each call.
enum Arena {
    #[cfg(target_arch = "x86_64")]
    Avx512(Vec<avx512::Piece>),
    #[cfg(target_arch = "x86_64")]
    Avx2(Vec<avx2::Piece>),
    Portable(Vec<portable::Piece>),
}

/// Derives keys, with memory of its own: 1 KiB · N for each of the kernel's lanes.
pub struct Scrypt {
    n: usize,
    arena: Arena,
}

impl Scrypt {
    /// For the fastest kernel of this machine. `n` is the cost N: a power of two; another number is rounded up to one.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self::with_kernel(Kernel::available()[0], n)
    }

    /// The same for one kernel, which must be one of [`Kernel::available`]; another is replaced by the portable one.
    #[must_use]
    pub fn with_kernel(kernel: Kernel, n: usize) -> Self {
        let kernel = if Kernel::available().contains(&kernel) { kernel } else { Kernel::Portable };
        let arena = match kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => Arena::Avx512(Vec::new()),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => Arena::Avx2(Vec::new()),
            _ => Arena::Portable(Vec::new()),
        };
        Self { n: n.max(2).next_power_of_two(), arena }
    }

    /// Which kernel it uses.
    #[must_use]
    pub fn kernel(&self) -> Kernel {
        match self.arena {
            #[cfg(target_arch = "x86_64")]
            Arena::Avx512(_) => Kernel::Avx512,
            #[cfg(target_arch = "x86_64")]
            Arena::Avx2(_) => Kernel::Avx2,
            Arena::Portable(_) => Kernel::Portable,
        }
    }

    /// How many inputs are worked on at once; a call with a multiple of it wastes nothing.
    #[must_use]
    pub fn lanes(&self) -> usize {
        match self.arena {
            #[cfg(target_arch = "x86_64")]
            Arena::Avx512(_) => avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Arena::Avx2(_) => avx2::LANES,
            Arena::Portable(_) => portable::LANES,
        }
    }

    /// The key of each input, in order.
    #[must_use]
    pub fn derive(&mut self, inputs: &[Input<'_>]) -> Vec<Key> {
        let n = self.n;
        match &mut self.arena {
            #[cfg(target_arch = "x86_64")]
            Arena::Avx512(arena) => {
                #[allow(unsafe_code, reason = "a call of a safe body that is compiled for AVX-512")]
                // SAFETY: `with_kernel` makes this arena only where the machine has AVX-512 F.
                let mix = |blocks: &mut _, arena: &mut _| unsafe { avx512::mix(blocks, n, arena) };
                all(inputs, n, arena, avx512::empty(), mix)
            }
            #[cfg(target_arch = "x86_64")]
            Arena::Avx2(arena) => {
                #[allow(unsafe_code, reason = "a call of a safe body that is compiled for AVX2")]
                // SAFETY: `with_kernel` makes this arena only where the machine has AVX2.
                let mix = |blocks: &mut _, arena: &mut _| unsafe { avx2::mix(blocks, n, arena) };
                all(inputs, n, arena, avx2::empty(), mix)
            }
            Arena::Portable(arena) => {
                all(inputs, n, arena, portable::empty(), |blocks, arena| portable::mix(blocks, n, arena))
            }
        }
    }
}

/// scrypt (RFC 7914 section 6) of all inputs, `LANES` at a time.
fn all<const LANES: usize, P: Zeroize + Clone>(
    inputs: &[Input<'_>],
    n: usize,
    arena: &mut Vec<P>,
    empty: P,
    mix: impl Fn(&mut [[u32; WORDS]; LANES], &mut [P]),
) -> Vec<Key> {
    let mut keys = Vec::with_capacity(inputs.len());
    arena.resize(n * LANES * ROWS, empty);
    let mut blocks = Zeroizing::new([[0; WORDS]; LANES]);
    let mut bytes = Zeroizing::new([0; 4 * WORDS]);
    for group in inputs.chunks(LANES) {
        let passwords: Vec<_> = group.iter().map(|input| Zeroizing::new(input.password.concat())).collect();
        for ((input, password), block) in group.iter().zip(&passwords).zip(blocks.iter_mut()) {
            pbkdf2_hmac::<Sha256>(password, input.salt, 1, bytes.as_mut_slice());
            for (word, bytes) in block.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *word = u32::from_le_bytes(*bytes);
            }
        }
        mix(&mut blocks, arena);
        for (password, block) in passwords.iter().zip(blocks.iter()) {
            for (word, bytes) in block.iter().zip(bytes.as_chunks_mut::<4>().0) {
                *bytes = word.to_le_bytes();
            }
            let mut key = Key::default();
            pbkdf2_hmac::<Sha256>(password, bytes.as_slice(), 1, key.as_mut_slice());
            keys.push(key);
        }
    }
    arena.iter_mut().for_each(Zeroize::zeroize);
    keys
}
