//! Norway.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("no_fodselsnummer", birth_number)];

/// Fødselsnummer: birthday, serial and two check digits modulo 11. A D number has 40 added to the day; test numbers
/// 40, 65 or 80 to the month (Skatteetaten; folkeregisterforskriften § 2-2-1).
fn birth_number(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    if digits.len() != 11 {
        return Verdict::Invalid;
    }
    let (day, month) = (digits.number(0..2), digits.number(2..4));
    let month = match month {
        81.. => month - 80,
        66..=77 => month - 65,
        41..=52 => month - 40,
        _ => month,
    };
    let birthday = day_exists(month, if day > 40 { day - 40 } else { day });
    let first = weighted_sum(&digits, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]);
    let second = weighted_sum(&digits, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]);
    Verdict::checksum(birthday && first.is_multiple_of(11) && second.is_multiple_of(11))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // python-stdnum's example, and numbers of the Skatteetaten's test population.
        for good in ["151086 95088", "15108695088", "55031175762", "17912099997"] {
            assert_eq!(verdict(birth_number, good), Verdict::Valid, "{good}");
        }
        for bad in ["15108695077", "15138695088", "32108695088", "1510869508", "00000000000"] {
            assert_eq!(verdict(birth_number, bad), Verdict::Invalid, "{bad}");
        }
    }
}
