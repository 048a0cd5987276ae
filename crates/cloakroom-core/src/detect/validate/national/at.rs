//! Austria.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("at_svnr", svnr)];

/// Sozialversicherungsnummer: a serial from 100, a check digit (the weighted sum of the others modulo 11, never 10)
/// and the birthday, with months from 13 where serials ran out (Dachverband der Sozialversicherungsträger).
fn svnr(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    if digits.len() != 10 || digits[0] == 0 {
        return Verdict::Invalid;
    }
    let (day, month) = (digits.number(4..6), digits.number(6..8));
    let birthday = if (13..=15).contains(&month) { (1..=31).contains(&day) } else { day_exists(month, day) };
    let sum = weighted_sum(&digits, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]);
    Verdict::checksum(birthday && sum % 11 == u32::from(digits[3]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The specimen of the e-card, and its digits elsewhere.
        for good in ["1237 010180", "1237010180", "3768240785"] {
            assert_eq!(verdict(svnr, good), Verdict::Valid, "{good}");
        }
        for bad in ["2237 010180", "1237 320180", "1237 011680", "0237 010180", "123701018"] {
            assert_eq!(verdict(svnr, bad), Verdict::Invalid, "{bad}");
        }
    }
}
