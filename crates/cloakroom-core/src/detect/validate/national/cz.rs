//! Czechia and Slovakia.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::iso7064::remainder;
use crate::detect::validate::{Candidate, Digits, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] =
    &[("cz_rodne_cislo", birth_number), ("cz_rodne_cislo_old", birth_number_old)];

/// The month has 50 added for women, and since 2004 another 20 where serials ran out.
fn birthday(digits: &Digits, added: &[u32]) -> bool {
    let (month, day) = (digits.number(2..4), digits.number(4..6));
    added.iter().any(|added| month.checked_sub(*added).is_some_and(|month| day_exists(month, day)))
}

/// Rodné číslo since 1954: birthday and four digits, divisible by 11; until 1985 the last digit may be 0 where the
/// remainder of the others is 10 (zákon 133/2000 Sb. § 13).
fn birth_number(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    if digits.len() != 10 {
        return Verdict::Invalid;
    }
    let right = remainder(&digits[..9], 11) % 10 == u32::from(digits[9]);
    Verdict::checksum(birthday(&digits, &[0, 20, 50, 70]) && right)
}

/// Before 1954: birthday and three digits, no check digit.
fn birth_number_old(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let given = digits.number(0..2) < 54 && digits.number(6..9) > 0;
    Verdict::plausible(digits.len() == 9 && given && birthday(&digits, &[0, 50]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // python-stdnum's example and made-up ones.
        for good in ["710319/2745", "7103192745", "855714/0097"] {
            assert_eq!(verdict(birth_number, good), Verdict::Valid, "{good}");
        }
        for bad in ["710319/2746", "711319/2745", "710332/2745", "710319/274"] {
            assert_eq!(verdict(birth_number, bad), Verdict::Invalid, "{bad}");
        }
        assert_eq!(verdict(birth_number_old, "480109/123"), Verdict::Plausible);
        assert_eq!(verdict(birth_number_old, "590312/123"), Verdict::Invalid);
        assert_eq!(verdict(birth_number_old, "482109/123"), Verdict::Invalid);
    }
}
