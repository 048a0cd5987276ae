//! The kernel without special instructions: one table look-up a byte, and an early end where no bucket is left.

use crate::{DEPTH, Run, Tables, is_token, is_word};

pub(crate) fn candidates(
    tables: &Tables,
    text: &[u8],
    words: usize,
    carry: &mut bool,
    masks: &mut [u64],
    runs: &mut [Run],
) {
    // Not all groups are for word starts.
    let anywhere = !0 << (8 * tables.start_groups);
    for (word, (mask, run)) in masks.iter_mut().zip(runs).enumerate().take(words) {
        *run = Run::default();
        let chunk = &text[64 * word..64 * word + 64 + DEPTH - 1];
        *mask = 0;
        for at in 0..64 {
            let in_word = is_word(chunk[at]);
            let begins = !(*carry && in_word);
            run.begins |= u64::from(begins) << at;
            run.words |= u64::from(in_word) << at;
            run.tokens |= u64::from(is_token(chunk[at])) << at;
            let allowed = if begins { !0 } else { anywhere };
            *carry = in_word;
            let mut buckets = tables.exact[0][usize::from(chunk[at])] & allowed;
            let mut offset = 1;
            while buckets != 0 && offset < DEPTH {
                buckets &= tables.exact[offset][usize::from(chunk[at + offset])];
                offset += 1;
            }
            *mask |= u64::from(buckets != 0) << at;
        }
    }
}
