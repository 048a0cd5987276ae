//! New Zealand.

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Digits, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("nz_ird", ird), ("nz_nhi", nhi)];

/// Inland Revenue number of eight or nine digits: weights 3, 2, 7, 6, 5, 4, 3, 2 and, where those give 10, a second row
/// (Inland Revenue, "RWT and NRWT certificate filing specification"). Numbers from 10 million are in use.
fn ird(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    if !matches!(digits.len(), 8 | 9) || !(10_000_000..200_000_000).contains(&digits.number(0..9.min(digits.len()))) {
        return Verdict::Invalid;
    }
    let mut nine = [0; 9];
    nine[9 - digits.len()..].copy_from_slice(&digits);
    let check = |weights: &[u32; 8]| (11 - weighted_sum(&nine[..8], weights) % 11) % 11;
    let check = match check(&[3, 2, 7, 6, 5, 4, 3, 2]) {
        10 => check(&[7, 4, 3, 2, 5, 2, 7, 6]),
        first => first,
    };
    Verdict::checksum(check == u32::from(nine[8]) && !digits.all_same())
}

/// National health index number (HISO 10046:2023), `ABC1235` or `ABC12DV`: letters without I and O are 1 to 24; weights
/// 7 to 2; the old form has a check digit by 11, the new one a check letter by 23.
fn nhi(candidate: &Candidate<'_>) -> Verdict {
    const LETTERS: &[u8; 24] = b"ABCDEFGHJKLMNPQRSTUVWXYZ";
    let text = candidate.alphanumeric();
    if text.len() != 7 {
        return Verdict::Invalid;
    }
    let mut values = [0_u8; 7];
    for (value, byte) in values.iter_mut().zip(text.iter()) {
        *value = match byte {
            b'0'..=b'9' => byte - b'0',
            _ => match LETTERS.iter().position(|letter| letter == byte) {
                Some(place) => place as u8 + 1,
                None => return Verdict::Invalid,
            },
        };
    }
    let sum = weighted_sum(&values, &[7, 6, 5, 4, 3, 2]);
    let digits = Digits::of(&text).len();
    let check = u32::from(values[6]);
    let right =
        if digits == 4 { !sum.is_multiple_of(11) && (11 - sum % 11) % 10 == check } else { 23 - sum % 23 == check };
    Verdict::checksum(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // Inland Revenue's worked examples.
        for good in ["49-091-850", "49091850", "35901981", "49098576", "136410132"] {
            assert_eq!(verdict(ird, good), Verdict::Valid, "{good}");
        }
        for bad in ["136410133", "9125568", "49091851", "999999999"] {
            assert_eq!(verdict(ird, bad), Verdict::Invalid, "{bad}");
        }
        // HISO's examples; Z begins numbers for tests.
        for good in ["ZAC5361", "ZBN77VL", "WLD9413", "ZSC21TN", "ZVB97XQ"] {
            assert_eq!(verdict(nhi, good), Verdict::Valid, "{good}");
        }
        for bad in ["ZAC5362", "ZZZ0044", "ZZZ00AA", "ZBN77VM", "ZIC5361", "ZAC536"] {
            assert_eq!(verdict(nhi, bad), Verdict::Invalid, "{bad}");
        }
    }
}
