//! Bech32 and Bech32m (BIP-173, BIP-350), and the address format of Bitcoin Cash that shares their alphabet
//! (CashAddr).

use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[("segwit", segwit), ("bech32", bech32), ("cashaddr", cashaddr)];

const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
/// What the checksum of each comes to.
const BECH32: u32 = 1;
const BECH32M: u32 = 0x2BC8_30A3;

fn five_bits(sign: u8) -> Option<u8> {
    ALPHABET.iter().position(|known| *known == sign.to_ascii_lowercase()).map(|place| place as u8)
}

fn mixed_case(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_lowercase) && text.iter().any(u8::is_ascii_uppercase)
}

fn polymod(sum: u32, value: u8) -> u32 {
    const GENERATOR: [u32; 5] = [0x3B6A_57B2, 0x2650_8E6D, 0x1EA1_19FA, 0x3D42_33DD, 0x2A14_62B3];
    let top = sum >> 25;
    let next = (sum & 0x01FF_FFFF) << 5 ^ u32::from(value);
    GENERATOR.iter().enumerate().fold(next, |sum, (bit, part)| if top >> bit & 1 == 1 { sum ^ part } else { sum })
}

/// The prefix, the data without its checksum and what the checksum comes to.
fn parts(text: &[u8]) -> Option<(&[u8], &[u8], u32)> {
    if mixed_case(text) {
        return None;
    }
    let separator = text.iter().rposition(|sign| *sign == b'1')?;
    let (prefix, data) = (text.get(..separator)?, text.get(separator + 1..)?);
    let payload = data.get(..data.len().checked_sub(6)?)?;
    let mut sum = 1;
    for byte in prefix {
        sum = polymod(sum, byte.to_ascii_lowercase() >> 5);
    }
    sum = polymod(sum, 0);
    for byte in prefix {
        sum = polymod(sum, byte.to_ascii_lowercase() & 31);
    }
    for sign in data {
        sum = polymod(sum, five_bits(*sign)?);
    }
    (!prefix.is_empty()).then_some((prefix, payload, sum))
}

/// A witness program: version 0 of 20 or 32 bytes in Bech32, versions 1 to 16 of 2 to 40 bytes in Bech32m.
fn segwit(candidate: &Candidate<'_>) -> Verdict {
    let Some((_, payload, sum)) = parts(candidate.value()) else { return Verdict::Invalid };
    let Some((version, program)) = payload.split_first() else { return Verdict::Invalid };
    let (bytes, rest) = (program.len() * 5 / 8, program.len() * 5 % 8);
    let right = match five_bits(*version) {
        Some(0) => sum == BECH32 && matches!(bytes, 20 | 32),
        Some(1..=16) => sum == BECH32M && (2..=40).contains(&bytes),
        _ => false,
    };
    Verdict::checksum(right && rest < 5)
}

/// Any text with a right Bech32 or Bech32m checksum; the prefix stands in the rule.
fn bech32(candidate: &Candidate<'_>) -> Verdict {
    let right = parts(candidate.value()).is_some_and(|(_, _, sum)| matches!(sum, BECH32 | BECH32M));
    Verdict::checksum(right && candidate.value().len() <= 128)
}

/// CashAddr, with its prefix or without: the prefix is part of the checksum either way.
fn cashaddr(candidate: &Candidate<'_>) -> Verdict {
    const GENERATOR: [u64; 5] = [0x98_F2BC_8E61, 0x79_B76D_99E2, 0xF3_3E5F_B3C4, 0xAE_2EAB_E2A8, 0x1E_4F43_E470];
    let step = |sum: u64, value: u8| {
        let top = sum >> 35;
        let next = (sum & 0x07_FFFF_FFFF) << 5 ^ u64::from(value);
        GENERATOR.iter().enumerate().fold(next, |sum, (bit, part)| if top >> bit & 1 == 1 { sum ^ part } else { sum })
    };
    let value = candidate.value();
    let data = value.rsplit(|byte| *byte == b':').next().unwrap_or_default();
    if mixed_case(value) || data.len() > 112 {
        return Verdict::Invalid;
    }
    let mut sum = b"bitcoincash".iter().fold(1, |sum, byte| step(sum, byte & 31));
    sum = step(sum, 0);
    for sign in data {
        let Some(value) = five_bits(*sign) else { return Verdict::Invalid };
        sum = step(sum, value);
    }
    Verdict::checksum(sum == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(validator: Validator, text: &str) -> Verdict {
        validator(&Candidate::new(text.as_bytes(), 0..text.len()).expect("in the text"))
    }

    #[test]
    fn vectors_of_bip_173_and_350() {
        for good in [
            "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
            "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
            "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
            "BC1SW50QGDZ25J",
            "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        ] {
            assert_eq!(verdict(segwit, good), Verdict::Valid, "{good}");
        }
        for bad in [
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
            "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
            "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
            "bc1gmk9yu",
            "tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47",
            "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3Q0sL5k7",
            "bc1",
        ] {
            assert_eq!(verdict(segwit, bad), Verdict::Invalid, "{bad}");
        }
        for good in ["A12UEL5L", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "A1LQFN3A"] {
            assert_eq!(verdict(bech32, good), Verdict::Valid, "{good}");
        }
        for bad in ["A12UEL5M", "1nwldj5", "x1b4n0q5v", "li1dgmt3", ""] {
            assert_eq!(verdict(bech32, bad), Verdict::Invalid, "{bad}");
        }
    }

    #[test]
    fn vectors_of_cip_19() {
        let good = "addr1vx2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzers66hrl8";
        assert_eq!(verdict(bech32, good), Verdict::Valid);
    }

    #[test]
    fn vectors_of_cashaddr() {
        for good in [
            "bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a",
            "qr95sy3j9xwd2ap32xkykttr4cvcu7as4y0qverfuy",
            "BITCOINCASH:PPM2QSZNHKS23Z7629MMS6S4CWEF74VCWVN0H829PQ",
        ] {
            assert_eq!(verdict(cashaddr, good), Verdict::Valid, "{good}");
        }
        for bad in ["bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6b", "qr95", "bitcoincash:"] {
            assert_eq!(verdict(cashaddr, bad), Verdict::Invalid, "{bad}");
        }
    }
}
