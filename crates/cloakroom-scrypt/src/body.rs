//! The body that all kernels share: scrypt's ROMix for [`LANES`](crate) blocks at a time, written once as safe code and compiled
//! for each instruction set.
//!
//! A row is a diagonal of Salsa20's 4×4 matrix, four words of one instance: with the diagonals as rows, a quarter-round
//! works on whole rows and only three rotations of words stand between columns and rows (Bernstein, "Salsa20 speed",
//! section 4). A vector holds the same row of `WIDTH` instances; `CHAINS` vectors are worked on in turn, so that one computes
//! while another waits for its own results.

/// Words of a block of 128·r bytes, r = 8.
pub(crate) const WORDS: usize = 256;
/// Rows of four words in it.
pub(crate) const ROWS: usize = WORDS / 4;
/// Blocks of Salsa20, 64 bytes, in it: 2·r.
pub(crate) const BLOCKS: usize = WORDS / 16;

/// Where word `w` of a Salsa20 block stands when diagonals are rows: its row and its place in it.
pub(crate) const fn diagonal(w: usize) -> (usize, usize) {
    // Column c of the matrix holds words c, c+4, c+8, c+12; the diagonal that begins at 0 is 0, 5, 10, 15.
    let (row, column) = (w / 4, w % 4);
    ((row + 4 - column) % 4, column)
}

/// Defines `LANES`, `Piece`-wise loading and `mix` from what the module has: `Vector`, `Piece`, `WIDTH`, `CHAINS`, and the
/// operations `add`, `xor`, `rotate`, `turn`, `join`, `split`, `piece`, `words`, `first`.
macro_rules! body {
    ($(#[$feature:meta])?) => {
        /// Instances at work at once.
        pub(super) const LANES: usize = WIDTH * CHAINS;

        type State = [[Vector; CHAINS]; ROWS];

        /// Salsa20/8 (Bernstein, "The Salsa20 family of stream ciphers"; RFC 7914 section 3) on `CHAINS` vectors.
        $(#[$feature])?
        #[inline]
        fn salsa20_8(block: &mut [[Vector; CHAINS]; 4]) {
            let [mut a, mut b, mut c, mut d] = *block;
            for _ in 0..4 {
                for k in 0..CHAINS {
                    b[k] = xor(b[k], rotate::<7, 25>(add(a[k], d[k])));
                    c[k] = xor(c[k], rotate::<9, 23>(add(b[k], a[k])));
                    d[k] = xor(d[k], rotate::<13, 19>(add(c[k], b[k])));
                    a[k] = xor(a[k], rotate::<18, 14>(add(d[k], c[k])));
                    // From columns to rows.
                    let (up, across, down) = (turn::<0x93>(b[k]), turn::<0x4e>(c[k]), turn::<0x39>(d[k]));
                    let down = xor(down, rotate::<7, 25>(add(a[k], up)));
                    let across = xor(across, rotate::<9, 23>(add(down, a[k])));
                    let up = xor(up, rotate::<13, 19>(add(across, down)));
                    a[k] = xor(a[k], rotate::<18, 14>(add(up, across)));
                    (b[k], c[k], d[k]) = (turn::<0x39>(up), turn::<0x4e>(across), turn::<0x93>(down));
                }
            }
            for (row, new) in block.iter_mut().zip([a, b, c, d]) {
                for k in 0..CHAINS {
                    row[k] = add(row[k], new[k]);
                }
            }
        }

        /// scryptBlockMix (RFC 7914 section 4), from `from` to `to`.
        $(#[$feature])?
        #[inline]
        fn block_mix(from: &State, to: &mut State) {
            let mut block = [from[ROWS - 4], from[ROWS - 3], from[ROWS - 2], from[ROWS - 1]];
            for at in 0..BLOCKS {
                for row in 0..4 {
                    for k in 0..CHAINS {
                        block[row][k] = xor(block[row][k], from[4 * at + row][k]);
                    }
                }
                salsa20_8(&mut block);
                // Even blocks first, then the odd ones.
                let place = 4 * (at / 2 + at % 2 * (BLOCKS / 2));
                to[place..place + 4].copy_from_slice(&block);
            }
        }

        /// scryptROMix (RFC 7914 section 5) on [`LANES`] blocks, with `n` (a power of two) steps. `arena` has
        /// `n * LANES * ROWS` pieces; by step, then lane, then row.
        $(#[$feature])?
        pub(super) fn mix(blocks: &mut [[u32; WORDS]; LANES], n: usize, arena: &mut [Piece]) {
            let empty = [[join([piece([0; 4]); WIDTH]); CHAINS]; ROWS];
            let (mut state, mut next) = (empty, empty);
            for at in 0..ROWS {
                for k in 0..CHAINS {
                    let mut pieces = [piece([0; 4]); WIDTH];
                    for (lane, slot) in pieces.iter_mut().enumerate() {
                        let block = &blocks[k * WIDTH + lane];
                        let mut row = [0; 4];
                        for w in 0..16 {
                            let (r, place) = diagonal(w);
                            if r == at % 4 {
                                row[place] = block[at / 4 * 16 + w];
                            }
                        }
                        *slot = piece(row);
                    }
                    state[at][k] = join(pieces);
                }
            }
            for step in arena.chunks_exact_mut(LANES * ROWS).take(n) {
                for (at, row) in state.iter().enumerate() {
                    for k in 0..CHAINS {
                        for (lane, value) in split(row[k]).into_iter().enumerate() {
                            step[(k * WIDTH + lane) * ROWS + at] = value;
                        }
                    }
                }
                block_mix(&state, &mut next);
                std::mem::swap(&mut state, &mut next);
            }
            for _ in 0..n {
                for k in 0..CHAINS {
                    // Integerify: the first word of the last 64 bytes.
                    let mut taken: [&[Piece]; WIDTH] = [&[]; WIDTH];
                    for (lane, value) in split(state[ROWS - 4][k]).into_iter().enumerate() {
                        let step = first(value) as usize & (n - 1);
                        let from = (step * LANES + k * WIDTH + lane) * ROWS;
                        taken[lane] = &arena[from..from + ROWS];
                    }
                    for at in 0..ROWS {
                        let mut pieces = [piece([0; 4]); WIDTH];
                        for lane in 0..WIDTH {
                            pieces[lane] = taken[lane][at];
                        }
                        state[at][k] = xor(state[at][k], join(pieces));
                    }
                }
                block_mix(&state, &mut next);
                std::mem::swap(&mut state, &mut next);
            }
            for at in 0..ROWS {
                for k in 0..CHAINS {
                    for (lane, value) in split(state[at][k]).into_iter().enumerate() {
                        let row = words(value);
                        for w in 0..16 {
                            let (r, place) = diagonal(w);
                            if r == at % 4 {
                                blocks[k * WIDTH + lane][at / 4 * 16 + w] = row[place];
                            }
                        }
                    }
                }
            }
            // What is left on the stack is as secret as the arena.
            for row in state.iter_mut().chain(&mut next) {
                for k in 0..CHAINS {
                    for mut value in split(row[k]) {
                        zeroize::Zeroize::zeroize(&mut value);
                    }
                    row[k] = join([piece([0; 4]); WIDTH]);
                }
            }
            std::hint::black_box((&state, &next));
        }
    };
}
pub(crate) use body;
