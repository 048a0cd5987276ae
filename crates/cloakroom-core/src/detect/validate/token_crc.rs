//! Tokens that carry a CRC-32 of themselves.
//!
//! A token whose checksum is wrong is still reported (it may be of an older kind, or a test's): the checksum only proves.

use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] =
    &[("crc_base62", base62), ("crc_base36", base36), ("crc_hex", hexadecimal)];

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn verdict(right: bool) -> Verdict {
    if right { Verdict::Valid } else { Verdict::Plausible }
}

/// True when the text writes the number in these digits, padded with zeros.
fn writes(text: &[u8], mut number: u32, digits: &[u8]) -> bool {
    for byte in text.iter().rev() {
        if digits.get(number as usize % digits.len()) != Some(byte) {
            return false;
        }
        number /= digits.len() as u32;
    }
    number == 0
}

/// `ghp_`, `gho_`, `ghu_`, `ghs_`, `ghr_`, `npm_`: 30 random characters, then their CRC-32 in 6 digits of base 62.
/// (GitHub, "Behind GitHub's new authentication token formats", 2021.)
fn base62(candidate: &Candidate<'_>) -> Verdict {
    let value = candidate.value();
    let body = value.get(4..34).zip(value.get(34..));
    verdict(body.is_some_and(|(random, check)| check.len() == 6 && writes(check, crc32fast::hash(random), DIGITS)))
}

/// Routable tokens of GitLab: everything before, then its CRC-32 in 7 digits of base 36.
/// (GitLab, "Cells: Routable tokens", architecture design document.)
fn base36(candidate: &Candidate<'_>) -> Verdict {
    let lower: Vec<u8> = DIGITS.iter().take(36).map(u8::to_ascii_lowercase).collect();
    let parts = candidate.value().split_last_chunk::<7>();
    verdict(parts.is_some_and(|(before, check)| writes(check, crc32fast::hash(before), &lower)))
}

/// Atlassian API tokens: `ATATT3…=` and the CRC-32 of what stands before the `=` in 8 hexadecimal digits.
/// (Atlassian, "API token format", with secret scanning partners.)
fn hexadecimal(candidate: &Candidate<'_>) -> Verdict {
    let parts = candidate.value().split_last_chunk::<8>();
    verdict(parts.is_some_and(|(before, check)| {
        let before = before.strip_suffix(b"=").unwrap_or(before);
        writes(check, crc32fast::hash(before), &DIGITS[..16])
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(validator: Validator, text: &str) -> Verdict {
        validator(&Candidate::new(text.as_bytes(), 0..text.len()).expect("all of it"))
    }

    #[test]
    fn published_token_of_github() {
        assert_eq!(of(base62, "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"), Verdict::Valid);
        assert_eq!(of(base62, "ghp_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18"), Verdict::Plausible);
        assert_eq!(of(base62, "ghp_"), Verdict::Plausible);
    }

    #[test]
    fn other_bases() {
        // CRC-32 of `123456789` is CBF43926 (3421780262), its published check value: 1kl8ini in base 36.
        assert_eq!(of(hexadecimal, "123456789=CBF43926"), Verdict::Valid);
        assert_eq!(of(hexadecimal, "123456788=CBF43926"), Verdict::Plausible);
        let number = (0..7).rev().fold((3_421_780_262_u32, Vec::new()), |(rest, mut text), _| {
            text.insert(0, char::from(DIGITS[rest as usize % 36]).to_ascii_lowercase());
            (rest / 36, text)
        });
        let text: String = number.1.into_iter().collect();
        assert_eq!(of(base36, &format!("123456789{text}")), Verdict::Valid);
        assert_eq!(of(base36, &format!("123456780{text}")), Verdict::Plausible);
    }
}
