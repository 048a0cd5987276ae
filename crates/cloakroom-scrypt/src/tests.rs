#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// RFC 7914 section 12, the vector with p = 1 and r = 8: `pleaseletmein`, `SodiumChloride`, N = 16384. The first 32 of its 64
/// bytes: PBKDF2 makes its output in blocks of 32.
#[test]
fn rfc_7914() {
    let expected: [u128; 2] = [0x7023bdcb3afd7348461c06cd81fd38eb, 0xfda8fbba904f8e3ea9b543f6545da1f2];
    for kernel in Kernel::available() {
        let keys = Scrypt::with_kernel(kernel, 16384)
            .derive(&[Input { password: &[b"please", b"letmein"], salt: b"SodiumChloride" }]);
        assert_eq!(keys[0].as_slice(), expected.map(u128::to_be_bytes).concat(), "{kernel:?}");
    }
}

/// RFC 7914 section 8: Salsa20/8 alone would need a door of its own; where its words stand is checked here.
#[test]
fn diagonals() {
    let rows = [[0, 5, 10, 15], [4, 9, 14, 3], [8, 13, 2, 7], [12, 1, 6, 11]];
    for (row, words) in rows.iter().enumerate() {
        for (place, word) in words.iter().enumerate() {
            assert_eq!(body::diagonal(*word), (row, place));
        }
    }
}

fn reference(password: &[u8], salt: &[u8], log_n: u8) -> [u8; 32] {
    let mut key = [0; 32];
    scrypt::scrypt(password, salt, &scrypt::Params::new(log_n, 8, 1).unwrap(), &mut key).unwrap();
    key
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Any number of inputs, full groups and rests, in every kernel.
    #[test]
    fn like_the_scrypt_crate(
        inputs in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..90), any::<[u8; 32]>()), 0..20),
        log_n in 1_u8..9,
    ) {
        for kernel in Kernel::available() {
            let mut scrypt = Scrypt::with_kernel(kernel, 1 << log_n);
            // Twice: the memory is used again.
            for _ in 0..2 {
                let parts: Vec<[&[u8]; 2]> =
                    inputs.iter().map(|(password, _)| password.split_at(password.len() / 2).into()).collect();
                let given: Vec<_> = parts.iter().zip(&inputs).map(|(password, (_, salt))| Input { password, salt }).collect();
                let keys = scrypt.derive(&given);
                prop_assert_eq!(keys.len(), inputs.len());
                for ((password, salt), key) in inputs.iter().zip(&keys) {
                    prop_assert_eq!(**key, reference(password, salt, log_n));
                }
            }
        }
    }
}

#[test]
fn the_cost_of_documents() {
    for kernel in Kernel::available() {
        let keys = Scrypt::with_kernel(kernel, 4096).derive(&[Input { password: &[b"a"], salt: &[7; 32] }; 9]);
        assert!(keys.iter().all(|key| **key == reference(b"a", &[7; 32], 12)), "{kernel:?}");
    }
}

#[test]
fn memory_is_wiped() {
    let mut scrypt = Scrypt::with_kernel(Kernel::Portable, 16);
    let _ = scrypt.derive(&[Input { password: &[b"a"], salt: b"b" }]);
    let Arena::Portable(arena) = &scrypt.arena else { unreachable!() };
    assert!(!arena.is_empty() && arena.iter().all(|piece| *piece == [0; 4]));
}
