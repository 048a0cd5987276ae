//! Bulgaria.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("bg_egn", egn)];

/// Единен граждански номер: birthday, the month 20 more for the 19th and 40 more for the 21st century; serial; check
/// digit modulo 11, 10 as 0 (GRAO, ordinance RD-02-20-9).
fn egn(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let month = match digits.number(2..4) {
        month @ 41.. => month - 40,
        month @ 21..=32 => month - 20,
        month => month,
    };
    if digits.len() != 10 || !day_exists(month, digits.number(4..6)) {
        return Verdict::Invalid;
    }
    let sum = weighted_sum(&digits, &[2, 4, 8, 5, 10, 9, 7, 3, 6]);
    Verdict::checksum(sum % 11 % 10 == u32::from(digits[9]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The examples of GRAO and of python-stdnum.
        for good in ["7523169263", "8032056031", "7542011030", "6101057509"] {
            assert_eq!(verdict(egn, good), Verdict::Valid, "{good}");
        }
        for bad in ["7523169264", "8019010008", "7533010005", "8032326031", "803205603"] {
            assert_eq!(verdict(egn, bad), Verdict::Invalid, "{bad}");
        }
    }
}
