//! Australia.

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] =
    &[("au_abn", abn), ("au_acn", acn), ("au_tfn", tfn), ("au_medicare", medicare)];

/// Business number: one less in the first digit, then the weighted sum is a multiple of 89 (Australian Business
/// Register, "Format of the ABN").
fn abn(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let sum = weighted_sum(&digits, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    Verdict::checksum(digits.len() == 11 && digits[0] != 0 && !digits.all_same() && sum % 89 == 10)
}

/// Company number: weights 8 to 1, and what is missing to a multiple of 10 (ASIC, "Australian Company Number digit
/// check").
fn acn(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let sum = weighted_sum(&digits, &[8, 7, 6, 5, 4, 3, 2, 1, 1]);
    Verdict::checksum(digits.len() == 9 && !digits.all_same() && sum.is_multiple_of(10))
}

/// Tax file number of nine digits: the weighted sum is a multiple of 11.
fn tfn(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let sum = weighted_sum(&digits, &[1, 4, 3, 7, 5, 8, 6, 9, 10]);
    Verdict::checksum(digits.len() == 9 && !digits.all_same() && sum.is_multiple_of(11))
}

/// Medicare card number: 2 to 6, seven digits, the check digit, the number of the card's issue, and often the line of
/// the person on the card (Services Australia).
fn medicare(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let whole = matches!(digits.len(), 10 | 11) && matches!(digits[0], 2..=6) && digits[9] != 0;
    let sum = weighted_sum(&digits, &[1, 3, 7, 9, 1, 3, 7, 9]);
    let line = digits.get(10) != Some(&0);
    Verdict::checksum(whole && line && sum % 10 == u32::from(digits[8]) && !digits.all_same())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The register's, ASIC's and the tax office's own examples.
        for good in ["51 824 753 556", "83914571673"] {
            assert_eq!(verdict(abn, good), Verdict::Valid, "{good}");
        }
        assert_eq!(verdict(abn, "51 824 753 557"), Verdict::Invalid);
        for good in ["000 000 019", "000 250 000", "010 499 966", "004 085 616"] {
            assert_eq!(verdict(acn, good), Verdict::Valid, "{good}");
        }
        assert_eq!(verdict(acn, "010 499 967"), Verdict::Invalid);
        for good in ["123 456 782", "876543210"] {
            assert_eq!(verdict(tfn, good), Verdict::Valid, "{good}");
        }
        for bad in ["123 456 789", "000000000"] {
            assert_eq!(verdict(tfn, bad), Verdict::Invalid, "{bad}");
        }
        for good in ["2123 45670 1", "2123456701", "2123 45670 1/1"] {
            assert_eq!(verdict(medicare, good), Verdict::Valid, "{good}");
        }
        for bad in ["2123 45671 1", "1123 45670 1", "7123456701", "2123456700", "212345"] {
            assert_eq!(verdict(medicare, bad), Verdict::Invalid, "{bad}");
        }
    }
}
