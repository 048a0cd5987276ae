//! Random bytes for keys and nonces, drawn from the operating system in blocks.

use std::cell::RefCell;

use zeroize::Zeroize as _;

use crate::CryptoError;

/// A system call costs more than the encryption of a short field, so 341 nonces, or 128 keys, share one.
const BLOCK_LEN: usize = 4096;

struct Block {
    bytes: [u8; BLOCK_LEN],
    used: usize,
}

impl Drop for Block {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

thread_local! {
    static BLOCK: RefCell<Block> =
        const { RefCell::new(Block { bytes: [0; BLOCK_LEN], used: BLOCK_LEN }) };
}

/// Fills `out` with the next bytes of this thread.
///
/// A nonce used twice under one key breaks AES-GCM, so bytes are overwritten as they are handed out.
/// A process that forks without exec, or a virtual machine resumed twice from one snapshot, would
/// continue with the same block in two places: neither may be done while keys are loaded.
pub(crate) fn fill(out: &mut [u8]) -> Result<(), CryptoError> {
    if out.len() > BLOCK_LEN {
        return getrandom::fill(out).map_err(|_| CryptoError::Random);
    }
    BLOCK.with_borrow_mut(|block| {
        if block.used + out.len() > BLOCK_LEN {
            // Until the fill has succeeded `used` stays at the end, so a failure cannot hand out
            // stale bytes.
            block.used = BLOCK_LEN;
            getrandom::fill(&mut block.bytes).map_err(|_| CryptoError::Random)?;
            block.used = 0;
        }
        let fresh = &mut block.bytes[block.used..block.used + out.len()];
        out.copy_from_slice(fresh);
        fresh.zeroize();
        block.used += out.len();
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn never_repeats_across_refills_and_threads() {
        let draw = || {
            let mut all = Vec::new();
            for _ in 0..2000 {
                let mut nonce = [0; 12];
                fill(&mut nonce).unwrap();
                all.push(nonce.to_vec());
                let mut key = [0; 32];
                fill(&mut key).unwrap();
                all.push(key[..12].to_vec());
            }
            all
        };
        let other = std::thread::spawn(draw);
        let mut seen: HashSet<_> = draw().into_iter().collect();
        seen.extend(other.join().unwrap());
        assert_eq!(seen.len(), 8000);
        assert!(!seen.contains([0; 12].as_slice()));
    }

    #[test]
    fn wipes_what_it_hands_out() {
        fill(&mut [0; 12]).unwrap();
        BLOCK.with_borrow(|block| {
            assert!(block.used > 0);
            assert!(block.bytes[..block.used].iter().all(|&b| b == 0));
        });
        // More than a block at once comes whole.
        let mut long = [0; 3 * BLOCK_LEN];
        fill(&mut long).unwrap();
        assert!(long.as_chunks::<64>().0.iter().all(|part| part != &[0; 64]));
    }
}
