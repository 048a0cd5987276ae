//! Addresses with a Keccak-256 checksum: Ethereum (EIP-55) and Monero (the Cryptonote standard 003, "Address").

use sha3::{Digest, Keccak256};

use super::base58check::{BITCOIN, decode};
use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[("ethereum", ethereum), ("monero", monero)];

/// Letters of both cases are a checksum (EIP-55); letters of one case are an address without.
fn ethereum(candidate: &Candidate<'_>) -> Verdict {
    let Some(address) = candidate.value().get(2..).filter(|address| address.len() == 40) else {
        return Verdict::Invalid;
    };
    // Zeros, or the like, stand for no address; only digits are more likely a number.
    let varied = address.iter().any(|byte| Some(byte) != address.first());
    if !varied || !address.iter().all(u8::is_ascii_hexdigit) || !address.iter().any(u8::is_ascii_alphabetic) {
        return Verdict::Invalid;
    }
    if !(address.iter().any(u8::is_ascii_lowercase) && address.iter().any(u8::is_ascii_uppercase)) {
        return Verdict::Plausible;
    }
    let hash = Keccak256::digest(address.to_ascii_lowercase());
    let nibbles = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    Verdict::checksum(
        address
            .iter()
            .zip(nibbles)
            .all(|(letter, nibble)| !letter.is_ascii_alphabetic() || letter.is_ascii_uppercase() == (nibble >= 8)),
    )
}

/// Base58 in blocks of 8 bytes (11 signs), a last one of 5 (7 signs); four bytes of checksum.
fn monero(candidate: &Candidate<'_>) -> Verdict {
    let value = candidate.value();
    let mut bytes = [0; 77];
    let mut length = 0;
    for block in value.chunks(11) {
        let size = match block.len() {
            11 => 8,
            7 => 5,
            _ => return Verdict::Invalid,
        };
        let mut buffer = [0; 16];
        let read = decode(block, BITCOIN, &mut buffer).map(<[u8]>::len);
        let fits = read.is_some() && buffer.iter().take(16 - size).all(|byte| *byte == 0);
        let (Some(place), Some(content), true) = (bytes.get_mut(length..length + size), buffer.get(16 - size..), fits)
        else {
            return Verdict::Invalid;
        };
        place.copy_from_slice(content);
        length += size;
    }
    // Main network: standard 18, integrated 19, subaddress 42.
    let kind = matches!((bytes[0], length), (18 | 42, 69) | (19, 77));
    let (Some(content), Some(check)) =
        (bytes.get(..length.saturating_sub(4)), bytes.get(length.saturating_sub(4)..length))
    else {
        return Verdict::Invalid;
    };
    Verdict::checksum(kind && Keccak256::digest(content).starts_with(check))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(validator: Validator, text: &str) -> Verdict {
        validator(&Candidate::new(text.as_bytes(), 0..text.len()).expect("in the text"))
    }

    #[test]
    fn vectors_of_eip_55() {
        for good in ["0x52908400098527886E0F7030069857D2E4169EE7", "0xde709f2102306220921060314715629080e2fb77"] {
            assert_eq!(verdict(ethereum, good), Verdict::Plausible, "{good}");
        }
        for good in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            assert_eq!(verdict(ethereum, good), Verdict::Valid, "{good}");
        }
        for bad in [
            "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x0000000000000000000000000000000000000000",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
            "",
        ] {
            assert_eq!(verdict(ethereum, bad), Verdict::Invalid, "{bad}");
        }
    }

    #[test]
    fn the_address_that_the_monero_project_publishes() {
        let good = "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A";
        assert_eq!(verdict(monero, good), Verdict::Valid);
        for bad in [&good[..94], "", &good.replace("44A", "44B"), &"z".repeat(95)] {
            assert_eq!(verdict(monero, bad), Verdict::Invalid, "{bad}");
        }
    }
}
