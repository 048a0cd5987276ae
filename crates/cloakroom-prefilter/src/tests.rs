//! Kernels against a definition: every position that fits must be a candidate, and the exact kernels find no others.

use proptest::prelude::*;

use super::*;

fn fits(text: &[u8], at: usize, bucket: &Bucket) -> bool {
    (0..DEPTH).all(|offset| bucket.sets[offset].contains(text.get(at + offset).copied().unwrap_or(0)))
}

fn expected(text: &[u8], at: usize, start: &[Bucket], anywhere: &[Bucket], runs: LongRuns) -> bool {
    let begins = at == 0 || !(is_word(text[at]) && is_word(text[at - 1]));
    let long = |kind: fn(u8) -> bool| text[at..].iter().take(LONG_RUN).filter(|byte| kind(**byte)).count() == LONG_RUN;
    let before = |back: usize| at.checked_sub(back).map_or(b' ', |at| text[at]);
    let alone = is_word(text[at]) && !(is_token(before(1)) && is_word(before(2)));
    let of_tokens = match runs.tokens {
        Tokens::No => false,
        Tokens::Alone => alone && long(is_token),
        Tokens::All => long(is_token),
    };
    let long = of_tokens || runs.words && long(is_word);
    begins && (long || start.iter().any(|bucket| fits(text, at, bucket)))
        || anywhere.iter().any(|bucket| fits(text, at, bucket))
}

fn all_candidates(prefilter: &Prefilter, text: &[u8], first: usize) -> Vec<usize> {
    let (mut found, mut from, mut buffers) = (Vec::new(), first, Buffers::default());
    loop {
        let words = prefilter.candidates(text, from..usize::MAX, &mut buffers);
        if words == 0 {
            return found;
        }
        for at in 0..text.len().min(from + BLOCK) - from {
            for most in [40, usize::MAX] {
                let rest = text[from + at..].iter().take(most);
                let length = |is: fn(u8) -> bool| rest.clone().take_while(|byte| is(**byte)).count();
                if let Some(lengths) = run_lengths(&buffers.runs[..words], at, most) {
                    assert_eq!(lengths, (length(is_word), length(is_token)));
                }
            }
        }
        for (word, mask) in buffers.masks[..words].iter().enumerate() {
            found.extend((0..64).filter(|bit| mask >> bit & 1 == 1).map(|bit| from + 64 * word + bit));
        }
        from += BLOCK;
    }
}

fn check(text: &[u8], first: usize, start: &[Bucket], anywhere: &[Bucket]) {
    for (words, tokens) in [(false, Tokens::No), (true, Tokens::Alone), (false, Tokens::All), (true, Tokens::All)] {
        let runs = LongRuns { words, tokens };
        let wanted: Vec<usize> = (first..text.len()).filter(|at| expected(text, *at, start, anywhere, runs)).collect();
        for kernel in Kernel::available() {
            let found = all_candidates(&Prefilter::with_kernel(kernel, start, anywhere, runs), text, first);
            assert!(wanted.iter().all(|at| found.contains(at)), "{kernel:?} misses a candidate");
            assert!(found.iter().all(|at| *at < text.len() && *at >= first), "{kernel:?} leaves the text");
            // At the end of a block, what follows is taken for a token; at the beginning of 64, what is before for none.
            let at_seam = |at: &usize| {
                (at - first) % BLOCK >= BLOCK - LONG_RUN || text.len() - at < LONG_RUN || (at - first) % 64 < 2
            };
            if kernel == Kernel::Portable {
                assert!(found.iter().all(|at| wanted.contains(at) || at_seam(at)));
            }
        }
    }
}

fn bucket() -> impl Strategy<Value = Bucket> {
    let class = prop_oneof![
        Just(ByteSet::ALL),
        Just((b'0'..=b'9').collect()),
        Just((b'a'..=b'z').collect()),
        Just(b"@".iter().copied().collect()),
        Just((0x80..=0xFF).collect()),
        proptest::collection::vec(any::<u8>(), 1..40).prop_map(|bytes| bytes.into_iter().collect::<ByteSet>()),
    ];
    proptest::collection::vec(class, DEPTH).prop_map(|sets| Bucket { sets: std::array::from_fn(|at| sets[at]) })
}

proptest! {
    #[test]
    fn kernels_agree_with_the_definition(
        text in proptest::collection::vec(prop_oneof![any::<u8>(), 32_u8..127, b'0'..=b'9'], 0..700),
        first in 0_usize..80,
        start in proptest::collection::vec(bucket(), 0..24),
        anywhere in proptest::collection::vec(bucket(), 0..8),
    ) {
        check(&text, first.min(text.len()), &start, &anywhere);
    }
}

#[test]
fn blocks_join_without_a_seam() {
    let digits = Bucket { sets: std::array::from_fn(|at| if at < 3 { (b'0'..=b'9').collect() } else { ByteSet::ALL }) };
    let text: Vec<u8> = b"id 123 x 4567;".iter().copied().cycle().take(3 * BLOCK + 77).collect();
    check(&text, 0, &[digits], &[]);
    check(&text, BLOCK - 1, &[digits], &[digits]);
}
