//! Estonia and Lithuania, whose personal codes are made in the same way.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] =
    &[("ee_isikukood", isikukood), ("lt_asmens_kodas", asmens_kodas)];

/// The weighted sum modulo 11; where it is 10, that with the second weights; 10 as 0.
fn check_digit(digits: &[u8]) -> u32 {
    match weighted_sum(digits, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11 {
        10 => weighted_sum(digits, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11 % 10,
        check => check,
    }
}

/// Isikukood: sex and century, birthday, serial, check digit (Rahvastikuregistri seadus; EVS 585).
fn isikukood(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let shape =
        digits.len() == 11 && matches!(digits[0], 1..=8) && day_exists(digits.number(3..5), digits.number(5..7));
    Verdict::checksum(shape && check_digit(&digits) == u32::from(digits[10]))
}

/// Asmens kodas: the same; month and day may be unknown, 00 (Gyventojų registro įstatymas).
fn asmens_kodas(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let (month, day) = (digits.number(3..5), digits.number(5..7));
    let birthday = day_exists(month, day) || month == 0 && day == 0;
    let shape = digits.len() == 11 && matches!(digits[0], 1..=6) && birthday;
    Verdict::checksum(shape && check_digit(&digits) == u32::from(digits[10]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The specimens of both countries' identity cards, and python-stdnum's examples.
        for good in ["36805280109", "37605030299", "38001085718", "49001016833"] {
            assert_eq!(verdict(isikukood, good), Verdict::Valid, "{good}");
        }
        for bad in ["36805280108", "36813280109", "96805280109", "3680528010"] {
            assert_eq!(verdict(isikukood, bad), Verdict::Invalid, "{bad}");
        }
        for good in ["33309240064", "38609150395"] {
            assert_eq!(verdict(asmens_kodas, good), Verdict::Valid, "{good}");
        }
        for bad in ["33309240164", "33313240064", "83309240064"] {
            assert_eq!(verdict(asmens_kodas, bad), Verdict::Invalid, "{bad}");
        }
    }
}
