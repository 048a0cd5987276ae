//! The kernel for AVX-512: four instances in a vector.

use std::arch::x86_64::{
    __m128i, __m512i, _mm_cvtsi128_si32, _mm_extract_epi32, _mm_set_epi32, _mm_setzero_si128, _mm512_add_epi32,
    _mm512_castsi128_si512, _mm512_castsi512_si128, _mm512_extracti32x4_epi32, _mm512_inserti32x4, _mm512_rol_epi32,
    _mm512_shuffle_epi32, _mm512_xor_si512,
};

use crate::body::{BLOCKS, ROWS, WORDS, body, diagonal};

pub(super) type Piece = __m128i;
type Vector = __m512i;
const WIDTH: usize = 4;
/// Measured: two keep the units busy, four need more registers than there are.
const CHAINS: usize = 2;

/// What fills new memory.
#[allow(unsafe_code, reason = "an intrinsic outside of a kernel")]
pub(super) fn empty() -> Piece {
    // SAFETY: SSE2 is part of x86-64.
    unsafe { _mm_setzero_si128() }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn add(a: Vector, b: Vector) -> Vector {
    _mm512_add_epi32(a, b)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn xor(a: Vector, b: Vector) -> Vector {
    _mm512_xor_si512(a, b)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn rotate<const LEFT: i32, const RIGHT: i32>(a: Vector) -> Vector {
    _mm512_rol_epi32::<LEFT>(a)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn turn<const ORDER: i32>(a: Vector) -> Vector {
    _mm512_shuffle_epi32::<ORDER>(a)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn join([a, b, c, d]: [Piece; WIDTH]) -> Vector {
    let first = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(a), b);
    _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(first, c), d)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn split(a: Vector) -> [Piece; WIDTH] {
    [
        _mm512_castsi512_si128(a),
        _mm512_extracti32x4_epi32::<1>(a),
        _mm512_extracti32x4_epi32::<2>(a),
        _mm512_extracti32x4_epi32::<3>(a),
    ]
}

#[target_feature(enable = "avx512f")]
#[inline]
fn piece([a, b, c, d]: [u32; 4]) -> Piece {
    _mm_set_epi32(d.cast_signed(), c.cast_signed(), b.cast_signed(), a.cast_signed())
}

#[target_feature(enable = "avx512f")]
#[inline]
fn words(a: Piece) -> [u32; 4] {
    [
        _mm_extract_epi32::<0>(a).cast_unsigned(),
        _mm_extract_epi32::<1>(a).cast_unsigned(),
        _mm_extract_epi32::<2>(a).cast_unsigned(),
        _mm_extract_epi32::<3>(a).cast_unsigned(),
    ]
}

#[target_feature(enable = "avx512f")]
#[inline]
fn first(a: Piece) -> u32 {
    _mm_cvtsi128_si32(a).cast_unsigned()
}

body!(#[target_feature(enable = "avx512f")]);
