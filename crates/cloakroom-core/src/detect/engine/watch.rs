//! Watches a text for places where one of some shapes could begin: the prefilter names them, the live table says which shapes.

use cloakroom_prefilter::{
    BLOCK, BUCKETS, Buffers, Kernel, LongRuns, Prefilter, START_BUCKETS, Tokens, run_lengths as prefilter_lengths,
};

use super::beginning::{Beginning, DEPTH, is_word, mass};
use super::buckets::share_out;
use super::live::{self, LiveTable};
use super::trigger::{Entry, MAX_COUNTED_RUN};
use crate::detect::edges::joined_before;

/// Tables for some shapes.
pub(crate) struct Watch {
    prefilter: Prefilter,
    live: LiveTable,
    /// By bit in the live table: a number of a shape.
    shape_of_bit: Vec<u16>,
    /// The bits of shapes all of whose rules want values that stand alone, and can say so before the match is known.
    alone: Box<[u64]>,
}

/// One way in which a shape begins.
pub(crate) struct Way<'e> {
    pub(crate) entry: &'e Entry,
    pub(crate) shape: u16,
    /// What begins here begins a value that must stand alone.
    pub(crate) alone: bool,
}

impl Way<'_> {
    /// True when it is found by the long run at its beginning, false when its first bytes tell enough. Values that may go on from
    /// others are found by a run only when there is no other way: every part of every path is one to look at, then.
    fn is_found_by_run(&self) -> bool {
        let common = match (self.alone, self.entry.runs.begin_with_word()) {
            (true, _) => 0.0,
            (false, true) => 1e-5,
            (false, false) => 1e-3,
        };
        self.entry.runs.begin_with_token() && mass(&self.entry.beginning.sets[..cloakroom_prefilter::DEPTH]) > common
    }
}

/// Which bits matter at a place.
pub(crate) trait Gate {
    /// Goes to a place, which lies behind the one before; says which chunks of the live table have bits that matter there.
    fn go_to(&mut self, at: usize) -> u32;
    /// The bits of a word that matter.
    fn bits(&self, word: usize) -> u64;
}

/// All of them, everywhere.
pub(crate) struct Open;

impl Gate for Open {
    #[inline]
    fn go_to(&mut self, _: usize) -> u32 {
        u32::MAX
    }
    #[inline]
    fn bits(&self, _: usize) -> u64 {
        u64::MAX
    }
}

impl Watch {
    /// `start`: ways to begin where a word can begin; `anywhere`: ways to begin anywhere.
    pub(crate) fn new(kernel: Kernel, start: &[Way<'_>], anywhere: &[Way<'_>]) -> Self {
        let live = LiveTable::new(start, anywhere);
        let (by_run, by_bytes): (Vec<&Way<'_>>, Vec<&Way<'_>>) = start.iter().partition(|way| way.is_found_by_run());
        let of_tokens: Vec<&&Way<'_>> = by_run.iter().filter(|way| !way.entry.runs.begin_with_word()).collect();
        let begins_word = |way: &Way<'_>| way.entry.beginning.apart.iter().all(is_word);
        let tokens = match (of_tokens.is_empty(), of_tokens.iter().all(|way| way.alone && begins_word(way))) {
            (true, _) => Tokens::No,
            (false, true) => Tokens::Alone,
            (false, false) => Tokens::All,
        };
        let long_runs = LongRuns { words: of_tokens.len() < by_run.len(), tokens };
        let beginnings: Vec<&Beginning> = by_bytes.iter().map(|way| &way.entry.beginning).collect();
        let start_buckets = share_out(&beginnings, START_BUCKETS);
        let beginnings: Vec<&Beginning> = anywhere.iter().map(|way| &way.entry.beginning).collect();
        let anywhere_buckets = share_out(&beginnings, BUCKETS - START_BUCKETS);
        let prefilter = Prefilter::with_kernel(kernel, &start_buckets, &anywhere_buckets, long_runs);
        let mut shape_of_bit = vec![0; 64 * live.words()];
        let mut alone = vec![0_u64; live.words()].into_boxed_slice();
        for (bit, way) in (0..).zip(start).chain((live.first_anywhere()..).zip(anywhere)) {
            shape_of_bit[bit] = way.shape;
            alone[bit / 64] |= u64::from(way.alone) << (bit % 64);
        }
        Self { prefilter, live, shape_of_bit, alone }
    }

    /// Words of 64 bits, one bit for each way to begin.
    pub(crate) fn words(&self) -> usize {
        self.live.words()
    }

    /// The bits of every shape, as pairs of bit and shape.
    pub(crate) fn bits(&self) -> impl Iterator<Item = (usize, u16)> {
        self.shape_of_bit.iter().copied().enumerate()
    }

    /// Calls `each` with every place in `from..to` and every shape that could begin there, place by place.
    #[inline]
    pub(crate) fn look(
        &self,
        gate: &mut impl Gate,
        text: &[u8],
        from: usize,
        to: usize,
        buffers: &mut Buffers,
        mut each: impl FnMut(usize, u16),
    ) {
        let mut block = from;
        while block < to {
            let words = self.prefilter.candidates(text, block..to, buffers);
            for (word, mask) in buffers.masks[..words].iter().enumerate() {
                let mut mask = *mask;
                while mask != 0 {
                    let at = block + 64 * word + mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    let matter = gate.go_to(at);
                    if matter != 0 {
                        let lengths = || {
                            let known = prefilter_lengths(&buffers.runs[..words], at - block, MAX_COUNTED_RUN);
                            known.unwrap_or_else(|| live::run_lengths(&text[at..]))
                        };
                        self.candidate(gate, matter, text, at, lengths, &mut each);
                    }
                }
            }
            block += BLOCK;
        }
    }

    #[inline]
    fn candidate(
        &self,
        gate: &impl Gate,
        matter: u32,
        text: &[u8],
        at: usize,
        lengths: impl Fn() -> (usize, usize),
        each: &mut impl FnMut(usize, u16),
    ) {
        let padded;
        let bytes: &[u8; DEPTH] = match text[at..].first_chunk() {
            Some(bytes) => bytes,
            None => {
                let mut copy = [0; DEPTH];
                copy[..text.len() - at].copy_from_slice(&text[at..]);
                padded = copy;
                &padded
            }
        };
        let begins = at == 0 || !(is_word(bytes[0]) && is_word(text[at - 1]));
        self.live.for_each(bytes, begins, matter, lengths, |word, live| {
            let mut live = live & gate.bits(word);
            if live & self.alone[word] != 0 && joined_before(text, at) {
                live &= !self.alone[word];
            }
            while live != 0 {
                let bit = word * 64 + live.trailing_zeros() as usize;
                live &= live - 1;
                each(at, self.shape_of_bit[bit]);
            }
        });
    }
}
