//! The kernel for AVX2: two instances in a vector.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_cvtsi128_si32, _mm_extract_epi32, _mm_set_epi32, _mm_setzero_si128, _mm256_add_epi32,
    _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_or_si256, _mm256_set_m128i, _mm256_shuffle_epi32,
    _mm256_slli_epi32, _mm256_srli_epi32, _mm256_xor_si256,
};

use crate::body::{BLOCKS, ROWS, WORDS, body, diagonal};

pub(super) type Piece = __m128i;
type Vector = __m256i;
const WIDTH: usize = 2;
const CHAINS: usize = 2;

/// What fills new memory.
#[allow(unsafe_code, reason = "an intrinsic outside of a kernel")]
pub(super) fn empty() -> Piece {
    // SAFETY: SSE2 is part of x86-64.
    unsafe { _mm_setzero_si128() }
}

#[target_feature(enable = "avx2")]
#[inline]
fn add(a: Vector, b: Vector) -> Vector {
    _mm256_add_epi32(a, b)
}

#[target_feature(enable = "avx2")]
#[inline]
fn xor(a: Vector, b: Vector) -> Vector {
    _mm256_xor_si256(a, b)
}

#[target_feature(enable = "avx2")]
#[inline]
fn rotate<const LEFT: i32, const RIGHT: i32>(a: Vector) -> Vector {
    _mm256_or_si256(_mm256_slli_epi32::<LEFT>(a), _mm256_srli_epi32::<RIGHT>(a))
}

#[target_feature(enable = "avx2")]
#[inline]
fn turn<const ORDER: i32>(a: Vector) -> Vector {
    _mm256_shuffle_epi32::<ORDER>(a)
}

#[target_feature(enable = "avx2")]
#[inline]
fn join([a, b]: [Piece; WIDTH]) -> Vector {
    _mm256_set_m128i(b, a)
}

#[target_feature(enable = "avx2")]
#[inline]
fn split(a: Vector) -> [Piece; WIDTH] {
    [_mm256_castsi256_si128(a), _mm256_extracti128_si256::<1>(a)]
}

#[target_feature(enable = "avx2")]
#[inline]
fn piece([a, b, c, d]: [u32; 4]) -> Piece {
    _mm_set_epi32(d.cast_signed(), c.cast_signed(), b.cast_signed(), a.cast_signed())
}

#[target_feature(enable = "avx2")]
#[inline]
fn words(a: Piece) -> [u32; 4] {
    [
        _mm_extract_epi32::<0>(a).cast_unsigned(),
        _mm_extract_epi32::<1>(a).cast_unsigned(),
        _mm_extract_epi32::<2>(a).cast_unsigned(),
        _mm_extract_epi32::<3>(a).cast_unsigned(),
    ]
}

#[target_feature(enable = "avx2")]
#[inline]
fn first(a: Piece) -> u32 {
    _mm_cvtsi128_si32(a).cast_unsigned()
}

body!(#[target_feature(enable = "avx2")]);
