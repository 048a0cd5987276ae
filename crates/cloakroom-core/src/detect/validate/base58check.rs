//! Base58Check (Bitcoin wiki, "Base58Check encoding"): a version, a payload and the first four bytes of its double
//! SHA-256.

use sha2::{Digest, Sha256};

use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[
    ("bitcoin_base58", |c| hash160(c, &[&[0x00], &[0x05]])),
    ("bitcoin_extended_key", |c| {
        base58check(c, BITCOIN, &[&[0x04, 0x88, 0xB2, 0x1E], &[0x04, 0x9D, 0x7C, 0xB2], &[0x04, 0xB2, 0x47, 0x46]], 78)
    }),
    ("litecoin_base58", |c| hash160(c, &[&[0x30], &[0x32]])),
    ("dogecoin_base58", |c| hash160(c, &[&[0x1E], &[0x16]])),
    ("dash_base58", |c| hash160(c, &[&[0x4C], &[0x10]])),
    ("zcash_base58", |c| base58check(c, BITCOIN, &[&[0x1C, 0xB8], &[0x1C, 0xBD]], 22)),
    ("tron_base58", |c| hash160(c, &[&[0x41]])),
    ("tezos_base58", |c| base58check(c, BITCOIN, &[&[6, 161, 159], &[6, 161, 161], &[6, 161, 164], &[2, 90, 121]], 23)),
    ("xrp_base58", |c| base58check(c, XRP, &[&[0x00]], 21)),
];

pub(crate) const BITCOIN: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Alphabet of the XRP Ledger ("Base58 Encodings").
const XRP: &[u8; 58] = b"rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz";
/// The longest thing decoded: an extended key.
const LONGEST: usize = 82;

/// The bytes that a text writes, at the end of the buffer; `None` for a sign outside the alphabet or more than the
/// buffer
/// holds. A leading zero byte for each leading zero sign.
pub(crate) fn decode<'b>(text: &[u8], alphabet: &[u8; 58], buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut used = 0;
    for &sign in text {
        let mut carry = alphabet.iter().position(|known| *known == sign)?;
        for byte in buffer.iter_mut().rev().take(used) {
            carry += usize::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        while carry > 0 {
            used += 1;
            let place = buffer.len().checked_sub(used)?;
            *buffer.get_mut(place)? = carry as u8;
            carry >>= 8;
        }
    }
    let zeros = text.iter().take_while(|sign| **sign == alphabet[0]).count();
    let from = buffer.len().checked_sub(used + zeros)?;
    buffer.get(from..)
}

/// A version and the 20 bytes of a hash.
fn hash160(candidate: &Candidate<'_>, versions: &[&[u8]]) -> Verdict {
    base58check(candidate, BITCOIN, versions, 21)
}

/// `length`: bytes of version and payload.
fn base58check(candidate: &Candidate<'_>, alphabet: &[u8; 58], versions: &[&[u8]], length: usize) -> Verdict {
    let value = candidate.value();
    let mut buffer = [0; LONGEST];
    if value.len() > 112 {
        return Verdict::Invalid;
    }
    let Some(bytes) = decode(value, alphabet, &mut buffer) else { return Verdict::Invalid };
    if bytes.len() != length + 4 || !versions.iter().any(|version| bytes.starts_with(version)) {
        return Verdict::Invalid;
    }
    let (content, check) = bytes.split_at(length);
    let hash = Sha256::digest(Sha256::digest(content));
    Verdict::checksum(hash.starts_with(check))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(name: &str, text: &str) -> Verdict {
        let (_, validator) = VALIDATORS.iter().find(|(known, _)| *known == name).expect("a validator");
        validator(&Candidate::new(text.as_bytes(), 0..text.len()).expect("in the text"))
    }

    #[test]
    fn published_addresses() {
        for (name, good) in [
            // The genesis block's, and the examples of the Bitcoin wiki.
            ("bitcoin_base58", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
            ("bitcoin_base58", "16UwLL9Risc3QfPqBUvKofHmBQ7wMtjvM"),
            ("bitcoin_base58", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"),
            ("bitcoin_base58", "1111111111111111111114oLvT2"),
            // BIP-32, test vector 1.
            (
                "bitcoin_extended_key",
                "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8",
            ),
            // XRP Ledger, special addresses: genesis, ACCOUNT_ZERO, ACCOUNT_ONE.
            ("xrp_base58", "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh"),
            ("xrp_base58", "rrrrrrrrrrrrrrrrrrrrrhoLvTp"),
            ("xrp_base58", "rrrrrrrrrrrrrrrrrrrrBZbvji"),
            // Twenty zero bytes on TRON.
            ("tron_base58", "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb"),
        ] {
            assert_eq!(verdict(name, good), Verdict::Valid, "{good}");
            let swapped: String = good.chars().rev().collect();
            assert_eq!(verdict(name, &swapped), Verdict::Invalid, "{swapped}");
        }
        for bad in ["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "1A1zP1eP5QGefi2DMPTfTL5SLmv7Divf0a", "1", ""] {
            assert_eq!(verdict("bitcoin_base58", bad), Verdict::Invalid, "{bad}");
        }
        assert_eq!(verdict("bitcoin_base58", &"z".repeat(4096)), Verdict::Invalid);
    }
}
