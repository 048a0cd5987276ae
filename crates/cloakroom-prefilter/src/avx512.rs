//! The kernel for AVX-512 with VBMI: 64 positions at a time. `vpermi2b` looks 64 bytes up in a table of 128 entries, the bits of
//! eight buckets each, so classes of ASCII bytes are exact.

use std::arch::x86_64::{
    __m512i, _mm512_and_si512, _mm512_cmpeq_epi8_mask, _mm512_cmple_epu8_mask, _mm512_load_si512, _mm512_loadu_si512,
    _mm512_mask_mov_epi8, _mm512_maskz_loadu_epi8, _mm512_movepi8_mask, _mm512_or_si512, _mm512_permutex2var_epi8,
    _mm512_set1_epi8, _mm512_setzero_si512, _mm512_sub_epi8, _mm512_test_epi8_mask,
};

use crate::{ANYWHERE_GROUP, DEPTH, NON_ASCII, Run, Tables};

/// # Safety
/// The machine has AVX-512 F, BW and VBMI; `text` has more than `64 * (words - 1)` bytes, `masks` and `runs` at least `words`.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[allow(unsafe_code, reason = "unaligned loads; the bounds are stated above")]
pub(crate) unsafe fn candidates(
    tables: &Tables,
    text: &[u8],
    words: usize,
    carry: &mut bool,
    masks: &mut [u64],
    runs: &mut [Run],
) {
    for (word, (mask, run)) in masks.iter_mut().zip(runs).enumerate().take(words) {
        // Else the compiler copies all tables to the stack before the loop, in vain: there are more than registers.
        let tables = std::hint::black_box(tables);
        let mut folded = [_mm512_setzero_si512(); DEPTH];
        for (offset, slot) in folded.iter_mut().enumerate() {
            let at = 64 * word + offset;
            let bytes: __m512i = if at + 64 <= text.len() {
                // SAFETY: 64 bytes from `at` on are in the text.
                unsafe { _mm512_loadu_si512(text.as_ptr().add(at).cast()) }
            } else {
                // Zeros behind the end.
                let left = text.len().saturating_sub(at);
                // SAFETY: only the bytes of the mask are read, `left` from `at` on; with none left, none are.
                unsafe { _mm512_maskz_loadu_epi8((1 << left) - 1, text.as_ptr().wrapping_add(at).cast()) }
            };
            *slot = _mm512_mask_mov_epi8(bytes, _mm512_movepi8_mask(bytes), _mm512_set1_epi8(NON_ASCII as i8));
        }
        let group = |group: usize| -> __m512i {
            let mut left = _mm512_set1_epi8(-1);
            for (folded, table) in folded.iter().zip(&tables.ascii[group]) {
                let table = table.as_ptr();
                // SAFETY: an array of 128 bytes whose offset in `Tables`, which is aligned to 64, is a multiple of 128.
                let (low, high) = unsafe { (_mm512_load_si512(table.cast()), _mm512_load_si512(table.add(64).cast())) };
                left = _mm512_and_si512(left, _mm512_permutex2var_epi8(low, *folded, high));
            }
            left
        };
        let mut start = _mm512_setzero_si512();
        for number in 0..tables.start_groups {
            start = _mm512_or_si512(start, group(number));
        }
        let start = _mm512_test_epi8_mask(start, start);
        let mut anywhere = _mm512_setzero_si512();
        for number in 0..tables.anywhere_groups {
            anywhere = _mm512_or_si512(anywhere, group(ANYWHERE_GROUP + number));
        }
        let anywhere = _mm512_test_epi8_mask(anywhere, anywhere);
        let bytes = folded[0];
        let within = |bytes, from: u8, count: u8| {
            _mm512_cmple_epu8_mask(
                _mm512_sub_epi8(bytes, _mm512_set1_epi8(from as i8)),
                _mm512_set1_epi8(count as i8 - 1),
            )
        };
        let small = _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));
        let in_word = within(small, b'a', 26)
            | within(bytes, b'0', 10)
            | _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b'_' as i8));
        let begins = !(in_word & (in_word << 1 | u64::from(*carry)));
        *carry = in_word >> 63 == 1;
        let sign = |sign: u8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(sign as i8));
        *run = Run { begins, words: in_word, tokens: in_word | sign(b'-') | sign(b'+') | sign(b'/') };
        *mask = anywhere | start & begins;
    }
}
