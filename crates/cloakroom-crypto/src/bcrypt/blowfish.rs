//! Blowfish with bcrypt's expensive key schedule, for several keys side by side.
//!
//! Every look-up of one lane is independent of those of the others, so while one waits for the cache the others go on. Plain
//! safe code: indexes are bytes and boxes have 256 entries, so no bound is checked.

use zeroize::{Zeroize as _, Zeroizing};

use super::pi::{self, WORDS};
use super::{LANES, MAX_LEN, RAW_LEN, SALT_LEN};

/// Subkeys of Blowfish.
const SUBKEYS: usize = 18;
/// "OrpheanBeholderScryDoubt", which is encrypted 64 times.
const MAGIC: &[u8; 24] = b"OrpheanBeholderScryDoubt";

/// The hashes of texts that were checked, each 23 bytes.
pub(super) fn raw_hashes(texts: &[&[u8]], salts: &[[u8; SALT_LEN]], cost: u32) -> Vec<[u8; RAW_LEN]> {
    let mut hashes = Vec::with_capacity(texts.len());
    let (whole, rest) = texts.as_chunks::<LANES>();
    let (whole_salts, rest_salts) = salts.as_chunks::<LANES>();
    for (texts, salts) in whole.iter().zip(whole_salts) {
        hashes.extend(lanes(texts, salts, cost));
    }
    // What is left over wastes no lane: each costs.
    match (rest, rest_salts) {
        ([a], [x]) => hashes.extend(lanes(&[a], &[*x], cost)),
        ([a, b], [x, y]) => hashes.extend(lanes(&[a, b], &[*x, *y], cost)),
        ([a, b, c], [x, y, z]) => hashes.extend(lanes(&[a, b, c], &[*x, *y, *z], cost)),
        _ => {}
    }
    hashes
}

fn lanes<const N: usize>(texts: &[&[u8]; N], salts: &[[u8; SALT_LEN]; N], cost: u32) -> [[u8; RAW_LEN]; N] {
    let keys = Zeroizing::new(words_of_keys(texts));
    let salts = words_of_salts(salts);
    let mut state = State::<N>::new();
    state.expand(&keys, Some(&salts));
    let salt_as_key = std::array::from_fn(|at| salts[at % 4]);
    for _ in 0..1_u64 << cost {
        state.expand(&keys, None);
        state.expand(&salt_as_key, None);
    }
    let mut hashes = [[0; RAW_LEN]; N];
    for (block, magic) in MAGIC.as_chunks::<8>().0.iter().enumerate() {
        let [a, b, c, d, e, f, g, h] = *magic;
        let mut left = [u32::from_be_bytes([a, b, c, d]); N];
        let mut right = [u32::from_be_bytes([e, f, g, h]); N];
        for _ in 0..64 {
            state.encrypt(&mut left, &mut right);
        }
        for (lane, hash) in hashes.iter_mut().enumerate() {
            let bytes = left[lane].to_be_bytes().into_iter().chain(right[lane].to_be_bytes());
            for (to, byte) in hash[block * 8..].iter_mut().zip(bytes) {
                *to = byte;
            }
        }
    }
    hashes
}

/// The state of N keys.
struct State<const N: usize> {
    subkeys: [[u32; N]; SUBKEYS],
    boxes: [[[u32; 256]; 4]; N],
}

impl<const N: usize> State<N> {
    /// On the heap, where dropping wipes it and nothing has moved it.
    fn new() -> Box<Self> {
        let pi: &[u32; WORDS] = pi::fraction();
        let mut state = Box::new(Self { subkeys: [[0; N]; SUBKEYS], boxes: [[[0; 256]; 4]; N] });
        for (subkeys, word) in state.subkeys.iter_mut().zip(pi) {
            *subkeys = [*word; N];
        }
        for boxes in &mut state.boxes {
            boxes.as_flattened_mut().copy_from_slice(&pi[SUBKEYS..]);
        }
        state
    }

    /// `ExpandKey` of the paper: the key into the subkeys, then all of the state replaced by encrypting with it, the salt
    /// mixed in.
    fn expand(&mut self, keys: &[[u32; N]; SUBKEYS], salts: Option<&[[u32; N]; 4]>) {
        for (subkeys, keys) in self.subkeys.iter_mut().zip(keys) {
            xor(subkeys, keys);
        }
        let (mut left, mut right) = ([0; N], [0; N]);
        let mut mixed = 0;
        let mut mix = |left: &mut [u32; N], right: &mut [u32; N]| {
            if let Some(salts) = salts {
                xor(left, &salts[mixed]);
                xor(right, &salts[mixed + 1]);
                mixed ^= 2;
            }
        };
        for at in (0..SUBKEYS).step_by(2) {
            mix(&mut left, &mut right);
            self.encrypt(&mut left, &mut right);
            (self.subkeys[at], self.subkeys[at + 1]) = (left, right);
        }
        for number in 0..4 {
            for at in (0..256).step_by(2) {
                mix(&mut left, &mut right);
                self.encrypt(&mut left, &mut right);
                for lane in 0..N {
                    self.boxes[lane][number][at] = left[lane];
                    self.boxes[lane][number][at + 1] = right[lane];
                }
            }
        }
    }

    /// One block of each lane.
    #[inline(always)]
    fn encrypt(&self, left: &mut [u32; N], right: &mut [u32; N]) {
        let (mut l, mut r) = (*left, *right);
        for pair in self.subkeys[..16].as_chunks::<2>().0 {
            for lane in 0..N {
                l[lane] ^= pair[0][lane];
                r[lane] ^= round(&self.boxes[lane], l[lane]);
            }
            for lane in 0..N {
                r[lane] ^= pair[1][lane];
                l[lane] ^= round(&self.boxes[lane], r[lane]);
            }
        }
        xor(&mut l, &self.subkeys[16]);
        xor(&mut r, &self.subkeys[17]);
        (*left, *right) = (r, l);
    }
}

impl<const N: usize> Drop for State<N> {
    fn drop(&mut self) {
        self.subkeys.as_flattened_mut().zeroize();
        self.boxes.as_flattened_mut().as_flattened_mut().zeroize();
    }
}

#[inline(always)]
fn round(boxes: &[[u32; 256]; 4], word: u32) -> u32 {
    let [a, b, c, d] = word.to_be_bytes().map(usize::from);
    (boxes[0][a].wrapping_add(boxes[1][b]) ^ boxes[2][c]).wrapping_add(boxes[3][d])
}

#[inline(always)]
fn xor<const N: usize>(words: &mut [u32; N], others: &[u32; N]) {
    for (word, other) in words.iter_mut().zip(others) {
        *word ^= other;
    }
}

/// Each text with a zero byte behind it, again and again, as 18 words.
fn words_of_keys<const N: usize>(texts: &[&[u8]; N]) -> [[u32; N]; SUBKEYS] {
    let mut keys = [[0; N]; SUBKEYS];
    for (lane, text) in texts.iter().enumerate() {
        let mut bytes = Zeroizing::new([0_u8; MAX_LEN]);
        for (to, byte) in bytes.iter_mut().zip(text.iter().chain(&[0]).cycle()) {
            *to = *byte;
        }
        for (words, four) in keys.iter_mut().zip(bytes.as_chunks().0) {
            words[lane] = u32::from_be_bytes(*four);
        }
    }
    keys
}

fn words_of_salts<const N: usize>(salts: &[[u8; SALT_LEN]; N]) -> [[u32; N]; 4] {
    std::array::from_fn(|at| {
        salts.map(|salt| {
            let mut four = [0; 4];
            four.copy_from_slice(&salt[4 * at..4 * at + 4]);
            u32::from_be_bytes(four)
        })
    })
}
