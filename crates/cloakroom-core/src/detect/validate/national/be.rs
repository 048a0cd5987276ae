//! Belgium.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::iso7064::remainder;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("be_nrn", nrn)];

/// Rijksregisternummer: birthday, three digits of the serial, 97 minus the remainder of the nine, of people born
/// since 2000 with a 2 in front. Months from 20 and 40 are those of bis numbers; month and day may be unknown, 00
/// (IBZ, IT 000).
fn nrn(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    if digits.len() != 11 || digits.number(6..9) == 0 || digits.number(6..9) == 999 {
        return Verdict::Invalid;
    }
    let (month, day) = (digits.number(2..4), digits.number(4..6));
    let month = match month {
        0..=12 => month,
        20..=32 => month - 20,
        40..=52 => month - 40,
        _ => return Verdict::Invalid,
    };
    let birthday = month == 0 || day == 0 || day_exists(month, day);
    let mut since_2000 = [2; 10];
    since_2000[1..].copy_from_slice(&digits[..9]);
    let check = digits.number(9..11);
    let right = 97 - remainder(&digits[..9], 97) == check || 97 - remainder(&since_2000, 97) == check;
    Verdict::checksum(birthday && day <= 31 && right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The examples of IBZ and of python-stdnum.
        for good in ["85.07.30-033.28", "85073003328", "17 07 30 033 84", "98.47.28-997.65", "01 49 07 001 85"] {
            assert_eq!(verdict(nrn, good), Verdict::Valid, "{good}");
        }
        for bad in ["85.07.30-033.29", "85.13.30-033.28", "12345678901", "00000000097"] {
            assert_eq!(verdict(nrn, bad), Verdict::Invalid, "{bad}");
        }
    }
}
