//! France.

use crate::detect::validate::iso7064::remainder;
use crate::detect::validate::luhn::luhn;
use crate::detect::validate::{Candidate, Digits, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[
    ("fr_nir", nir),
    ("fr_nir_written", nir_written),
    ("fr_nir_without_key", nir_without_key),
    ("fr_siren", siren),
    ("fr_siret", siret),
    ("fr_cni", cni),
    ("fr_cni_old", cni_old),
];

/// Its digits, those of the Corsican départements as 19 (2A) and 18 (2B), which the key counts instead.
fn nir_digits(candidate: &Candidate<'_>) -> Digits {
    let mut text = [0; 15];
    let kept = candidate.alphanumeric();
    for (place, byte) in text.iter_mut().zip(kept.iter()) {
        *place = *byte;
    }
    match text[5..7] {
        [b'2', b'A'] => text[5..7].copy_from_slice(b"19"),
        [b'2', b'B'] => text[5..7].copy_from_slice(b"18"),
        _ => {}
    }
    Digits::of(&text)
}

/// Sex, year, month (01 to 12; 20 to 42 and from 50 where it is not known), département, commune, serial.
fn nir_fits(digits: &Digits) -> bool {
    matches!(digits.first(), Some(1..=4 | 7 | 8))
        && matches!(digits.number(3..5), 1..=12 | 20..=42 | 50..=99)
        && digits.number(5..7) > 0
        && digits.number(7..10) > 0
        && digits.number(10..13) > 0
}

/// Numéro d'inscription au répertoire: 13 digits and a key, 97 minus their remainder (INSEE; décret 82-103).
fn nir(candidate: &Candidate<'_>) -> Verdict {
    let digits = nir_digits(candidate);
    Verdict::checksum(
        digits.len() == 15 && nir_fits(&digits) && 97 - remainder(&digits[..13], 97) == digits.number(13..15),
    )
}

/// Anything but 15 bare digits, for which a rule of their own is less sure.
fn nir_written(candidate: &Candidate<'_>) -> Verdict {
    let mut signs = candidate.value().iter().filter(|byte| !byte.is_ascii_digit());
    // One point alone makes it a decimal: `291.605746800226`.
    Verdict::plausible(!matches!((signs.next(), signs.next()), (None, _) | (Some(b'.'), None)))
}

/// The 13 digits alone; not those of a number whose key stands behind a space.
fn nir_without_key(candidate: &Candidate<'_>) -> Verdict {
    let digits = nir_digits(candidate);
    let key_follows = matches!(candidate.after(), [b' ' | b'-' | b'.', b'0'..=b'9', b'0'..=b'9', ..]);
    Verdict::plausible(digits.len() == 13 && nir_fits(&digits) && !key_follows)
}

/// Nine digits with a Luhn digit (INSEE).
fn siren(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    Verdict::checksum(digits.len() == 9 && !digits.all_same() && luhn(&digits))
}

/// A SIREN, five digits of the establishment, the last one a Luhn digit of all; La Poste's (356 000 000) may have a
/// sum of digits divisible by five instead (INSEE).
fn siret(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    if digits.len() != 14 || digits.all_same() {
        return Verdict::Invalid;
    }
    let post = digits.number(0..9) == 356_000_000
        && digits.iter().map(|digit| u32::from(*digit)).sum::<u32>().is_multiple_of(5);
    Verdict::checksum(post || luhn(&digits[..9]) && luhn(&digits))
}

/// Identity card since 2021: nine characters, both letters and digits.
fn cni(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    Verdict::plausible(text.len() == 9 && (1..9).contains(&digits))
}

/// Identity card before: year, month and département of issue, five digits, and one of the office's computer.
fn cni_old(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    Verdict::plausible(digits.len() == 12 && (1..=12).contains(&digits.number(2..4)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The specimens of the health insurance's cards, of INSEE and of python-stdnum.
        let published: [(Validator, &[&str], &[&str]); 3] = [
            (
                nir,
                &["2 69 05 49 588 157 80", "295109912611193", "253072B07300470", "253072A07300443"],
                &["2 69 05 49 588 157 81", "2 69 13 49 588 157 80", "953072A07300443", "253072C07300443"],
            ),
            (siren, &["732 829 320", "404833048"], &["404833047", "000000000"]),
            (siret, &["732 829 320 00074", "35600000049837"], &["73282932000079", "73282932100073"]),
        ];
        for (validator, good, bad) in published {
            for text in good {
                assert_eq!(verdict(validator, text), Verdict::Valid, "{text}");
            }
            for text in bad {
                assert_eq!(verdict(validator, text), Verdict::Invalid, "{text}");
            }
        }
        assert_eq!(verdict(nir_without_key, "2690549588157"), Verdict::Plausible);
        assert_eq!(verdict(nir_without_key, "2691549588157"), Verdict::Invalid);
    }
}
