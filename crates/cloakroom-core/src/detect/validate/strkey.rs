//! Stellar's key format (SEP-23, "Strkeys"): base32 of a version, 32 bytes and a CRC-16/XModem.

use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[("stellar", stellar)];

/// The version of a public key: the sign `G` in base32.
const PUBLIC_KEY: u8 = 6 << 3;

fn stellar(candidate: &Candidate<'_>) -> Verdict {
    let mut bytes = [0; 35];
    let (mut length, mut bits, mut held) = (0, 0, 0_u32);
    for sign in candidate.value() {
        let worth = match sign {
            b'A'..=b'Z' => sign - b'A',
            b'2'..=b'7' => sign - b'2' + 26,
            _ => return Verdict::Invalid,
        };
        held = (held << 5 | u32::from(worth)) & 0xFFFF;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            let Some(place) = bytes.get_mut(length) else { return Verdict::Invalid };
            *place = (held >> bits) as u8;
            length += 1;
        }
    }
    let ([content @ .., low, high], 35) = (bytes, length) else { return Verdict::Invalid };
    let crc = content.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| crc << 1 ^ if crc >> 15 == 1 { 0x1021 } else { 0 })
    });
    Verdict::checksum(content[0] == PUBLIC_KEY && crc == u16::from_le_bytes([low, high]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_sep_23() {
        let verdict = |text: &str| stellar(&Candidate::new(text.as_bytes(), 0..text.len()).expect("in the text"));
        assert_eq!(verdict("GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ"), Verdict::Valid);
        for bad in [
            "GAAAAAAAACGC6",
            "GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGY",
            "G47QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVP2I",
            "",
        ] {
            assert_eq!(verdict(bad), Verdict::Invalid, "{bad}");
        }
    }
}
