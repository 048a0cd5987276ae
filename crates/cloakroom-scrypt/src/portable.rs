//! The kernel for any machine: one instance, rows of four words that a compiler turns into the vectors it has.

use std::array::from_fn;

use crate::body::{BLOCKS, ROWS, WORDS, body, diagonal};

pub(super) type Piece = [u32; 4];
type Vector = [u32; 4];
const WIDTH: usize = 1;
const CHAINS: usize = 1;

/// What fills new memory.
pub(super) fn empty() -> Piece {
    [0; 4]
}

#[inline]
fn add(a: Vector, b: Vector) -> Vector {
    from_fn(|at| a[at].wrapping_add(b[at]))
}

#[inline]
fn xor(a: Vector, b: Vector) -> Vector {
    from_fn(|at| a[at] ^ b[at])
}

#[inline]
fn rotate<const LEFT: u32, const RIGHT: u32>(a: Vector) -> Vector {
    from_fn(|at| a[at].rotate_left(LEFT))
}

/// Two bits of the order for each place, as the shuffles of x86 have it.
#[inline]
fn turn<const ORDER: usize>(a: Vector) -> Vector {
    from_fn(|at| a[ORDER >> (2 * at) & 3])
}

#[inline]
fn join([a]: [Piece; WIDTH]) -> Vector {
    a
}

#[inline]
fn split(a: Vector) -> [Piece; WIDTH] {
    [a]
}

#[inline]
fn piece(a: [u32; 4]) -> Piece {
    a
}

#[inline]
fn words(a: Piece) -> [u32; 4] {
    a
}

#[inline]
fn first(a: Piece) -> u32 {
    a[0]
}

body!();
