//! United States.

use crate::detect::validate::luhn::luhn;
use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] =
    &[("us_ssn", ssn), ("us_itin", itin), ("us_ein", ein), ("us_aba", aba), ("us_npi", npi), ("us_dea", dea)];

/// Numbers that the Social Security Administration never gives: area 000, 666 and 900 to 999, group 00, serial 0000
/// (SSA, "Social Security Number Randomization").
fn ssn(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let (area, group, serial) = (digits.number(0..3), digits.number(3..5), digits.number(5..9));
    let given = digits.len() == 9 && area != 0 && area != 666 && area < 900 && group != 0 && serial != 0;
    Verdict::plausible(given && !digits.all_same())
}

/// Individual taxpayer identification number: 9, and a group that the Internal Revenue Service uses (IRM 3.21.263: 50
/// to 65, 70 to 88, 90 to 92, 94 to 99).
fn itin(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let group = matches!(digits.number(3..5), 50..=65 | 70..=88 | 90..=92 | 94..=99);
    Verdict::plausible(digits.len() == 9 && digits[0] == 9 && group && !digits.all_same())
}

/// Employer identification number: one of the prefixes that the Internal Revenue Service gives ("How EINs are assigned
/// and valid EIN prefixes").
fn ein(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let prefix = matches!(
        digits.number(0..2),
        1..=6 | 10..=16 | 20..=27 | 30..=48 | 50..=68 | 71..=77 | 80..=88 | 90..=95 | 98 | 99
    );
    Verdict::plausible(digits.len() == 9 && prefix && digits.number(2..9) != 0 && !digits.all_same())
}

/// Routing transit number of the American Bankers Association: the ranges of the Federal Reserve districts, of thrifts,
/// of electronic payments and of traveler's cheques; weights 3, 7, 1.
fn aba(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let district = matches!(digits.number(0..2), 0..=12 | 21..=32 | 61..=72 | 80);
    let sum = weighted_sum(&digits, &[3, 7, 1, 3, 7, 1, 3, 7, 1]);
    Verdict::checksum(digits.len() == 9 && district && !digits.all_same() && sum.is_multiple_of(10))
}

/// National provider identifier: the Luhn digit is taken with 80840, the prefix of health applications in the USA, in
/// front (45 CFR 162.406; CMS, "Requirements for NPI check digit").
fn npi(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    if digits.len() != 10 || !matches!(digits[0], 1 | 2) {
        return Verdict::Invalid;
    }
    let mut prefixed = [8, 0, 8, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    prefixed[5..].copy_from_slice(&digits);
    Verdict::checksum(luhn(&prefixed))
}

/// Registration number of the Drug Enforcement Administration: two letters (or a letter and 9), six digits, and the
/// last digit of first + third + fifth + 2 × (second + fourth + sixth).
fn dea(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let digits = crate::detect::validate::Digits::of(text.get(2..).unwrap_or_default());
    let sum = weighted_sum(&digits, &[1, 2, 1, 2, 1, 2]);
    Verdict::checksum(digits.len() == 7 && sum % 10 == u32::from(digits[6]) && digits.number(0..7) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // CMS's example of the NPI check digit; routing numbers of Federal Reserve banks; the DEA's worked example.
        assert_eq!(verdict(npi, "1234567893"), Verdict::Valid);
        assert_eq!(verdict(npi, "1234567890"), Verdict::Invalid);
        for good in ["011000015", "021001208", "122105155"] {
            assert_eq!(verdict(aba, good), Verdict::Valid, "{good}");
        }
        for bad in ["011000016", "000000000", "999999992", "411000014"] {
            assert_eq!(verdict(aba, bad), Verdict::Invalid, "{bad}");
        }
        assert_eq!(verdict(dea, "AP5836727"), Verdict::Valid);
        assert_eq!(verdict(dea, "AP5836728"), Verdict::Invalid);
    }

    #[test]
    fn numbers_that_are_never_given() {
        for bad in ["000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "123-45-0000", "111111111", "1234"] {
            assert_eq!(verdict(ssn, bad), Verdict::Invalid, "{bad}");
        }
        assert_eq!(verdict(ssn, "899-99-9999"), Verdict::Plausible);
        for (number, expected) in [
            ("900-70-0000", true),
            ("999-88-1234", true),
            ("900-93-1234", false),
            ("900-49-1234", false),
            ("899-70-1234", false),
        ] {
            assert_eq!(verdict(itin, number) == Verdict::Plausible, expected, "{number}");
        }
        for (number, expected) in
            [("12-3456789", true), ("07-1234567", false), ("00-1234567", false), ("12-0000000", false)]
        {
            assert_eq!(verdict(ein, number) == Verdict::Plausible, expected, "{number}");
        }
    }
}
