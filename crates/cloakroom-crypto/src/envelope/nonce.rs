//! Random nonces, drawn from the operating system in blocks.

use std::cell::RefCell;

use zeroize::Zeroize as _;

use super::NONCE_LEN;
use crate::CryptoError;

/// A system call costs more than the encryption of a short field, so 341 nonces share one.
const BLOCK_LEN: usize = 4096;

struct Block {
    bytes: [u8; BLOCK_LEN],
    used: usize,
}

thread_local! {
    static BLOCK: RefCell<Block> =
        const { RefCell::new(Block { bytes: [0; BLOCK_LEN], used: BLOCK_LEN }) };
}

/// The next nonce of this thread.
///
/// A nonce used twice under one key breaks AES-GCM, so each is overwritten as it is handed out.
/// A process that forks without exec, or a virtual machine resumed twice from one snapshot, would
/// continue with the same block in two places: neither may be done while keys are loaded.
pub(super) fn next() -> Result<[u8; NONCE_LEN], CryptoError> {
    BLOCK.with_borrow_mut(|block| {
        if block.used + NONCE_LEN > BLOCK_LEN {
            // Until the fill has succeeded `used` stays at the end, so a failure cannot hand out
            // stale bytes.
            block.used = BLOCK_LEN;
            getrandom::fill(&mut block.bytes).map_err(|_| CryptoError::Random)?;
            block.used = 0;
        }
        let mut nonce = [0; NONCE_LEN];
        let fresh = &mut block.bytes[block.used..block.used + NONCE_LEN];
        nonce.copy_from_slice(fresh);
        fresh.zeroize();
        block.used += NONCE_LEN;
        Ok(nonce)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn never_repeats_across_refills_and_threads() {
        let draw = || (0..2000).map(|_| next().unwrap()).collect::<Vec<_>>();
        let other = std::thread::spawn(draw);
        let mut seen: HashSet<_> = draw().into_iter().collect();
        seen.extend(other.join().unwrap());
        assert_eq!(seen.len(), 4000);
        assert!(!seen.contains(&[0; NONCE_LEN]));
    }

    #[test]
    fn wipes_what_it_hands_out() {
        next().unwrap();
        BLOCK.with_borrow(|block| {
            assert!(block.used > 0);
            assert!(block.bytes[..block.used].iter().all(|&b| b == 0));
        });
    }
}
