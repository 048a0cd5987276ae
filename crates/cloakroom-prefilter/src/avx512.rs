//! The kernel for AVX-512 with VBMI: 64 positions at a time. `vpermi2b` looks 64 bytes up in a table of 128 entries, their classes;
//! `vpermb` looks 64 classes up, the bits of eight buckets each.

use std::arch::x86_64::{
    __m512i, _mm512_and_si512, _mm512_cmpeq_epi8_mask, _mm512_cmple_epu8_mask, _mm512_load_si512, _mm512_loadu_si512,
    _mm512_mask_mov_epi8, _mm512_maskz_loadu_epi8, _mm512_movepi8_mask, _mm512_or_si512, _mm512_permutex2var_epi8,
    _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_setzero_si512, _mm512_storeu_si512, _mm512_sub_epi8,
    _mm512_test_epi8_mask,
};

use crate::{ClassBuffer, DEPTH, NON_ASCII, Run, Tables};

/// # Safety
/// The machine has AVX-512 F, BW and VBMI; `text` has more than `64 * (words - 1)` bytes, `masks` and `runs` at least `words`, which
/// are at most `WORDS`.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[allow(unsafe_code, reason = "unaligned loads and stores; the bounds are stated above")]
pub(crate) unsafe fn candidates(
    tables: &Tables,
    text: &[u8],
    words: usize,
    carry: &mut bool,
    classes: &mut ClassBuffer,
    masks: &mut [u64],
    runs: &mut [Run],
) {
    // SAFETY: arrays of 128 and 64 bytes whose offsets in `Tables`, which is aligned to 64, are multiples of 64.
    let table = |table: &[u8]| unsafe { _mm512_load_si512(table.as_ptr().cast()) };
    let (low, high) = (table(&tables.class[..64]), table(&tables.class[64..]));
    let mut classify = |at: usize| -> __m512i {
        let bytes = if at + 64 <= text.len() {
            // SAFETY: 64 bytes from `at` on are in the text.
            unsafe { _mm512_loadu_si512(text.as_ptr().add(at).cast()) }
        } else {
            // Zeros behind the end.
            let left = text.len().saturating_sub(at);
            // SAFETY: only the bytes of the mask are read, `left` from `at` on; with none left, none are.
            unsafe { _mm512_maskz_loadu_epi8((1 << left) - 1, text.as_ptr().wrapping_add(at).cast()) }
        };
        let bytes = _mm512_mask_mov_epi8(bytes, _mm512_movepi8_mask(bytes), _mm512_set1_epi8(NON_ASCII as i8));
        let class = _mm512_permutex2var_epi8(low, bytes, high);
        // SAFETY: `at + 64 <= 64 * WORDS + 64`, the length of the buffer: `at` is at most `64 * words`.
        unsafe { _mm512_storeu_si512(classes.as_mut_ptr().add(at).cast(), class) };
        bytes
    };
    for (word, run) in runs.iter_mut().enumerate().take(words) {
        let bytes = classify(64 * word);
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
    }
    // What follows the last word.
    classify(64 * words);
    for (word, (mask, run)) in masks.iter_mut().zip(runs).enumerate().take(words) {
        // Else the compiler copies all tables to the stack before the loop, in vain: there are more than registers.
        let tables = std::hint::black_box(tables);
        let mut classes_at = [_mm512_setzero_si512(); DEPTH];
        for (offset, slot) in classes_at.iter_mut().enumerate() {
            // SAFETY: `64 * word + offset + 64 <= 64 * WORDS + DEPTH - 1`, less than the length of the buffer.
            *slot = unsafe { _mm512_loadu_si512(classes.as_ptr().add(64 * word + offset).cast()) };
        }
        let group = |group: usize| -> __m512i {
            let mut left = _mm512_set1_epi8(-1);
            for (class, by_class) in classes_at.iter().zip(&tables.by_class[group]) {
                left = _mm512_and_si512(left, _mm512_permutexvar_epi8(*class, table(by_class)));
            }
            left
        };
        let any = |groups: std::ops::Range<usize>| {
            let mut any = _mm512_setzero_si512();
            for number in groups {
                any = _mm512_or_si512(any, group(number));
            }
            _mm512_test_epi8_mask(any, any)
        };
        let start = any(0..tables.start_groups);
        let anywhere = any(tables.start_groups..tables.start_groups + tables.anywhere_groups);
        *mask = anywhere | start & run.begins;
    }
}
