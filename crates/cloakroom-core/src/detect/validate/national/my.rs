//! Malaysia.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("my_nric", nric)];

/// MyKad: date of birth, place of birth (the National Registration Department's list of states and countries), and four
/// digits without a check digit.
fn nric(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let date = day_exists(digits.number(2..4), digits.number(4..6));
    let place = digits.number(6..8);
    let given = !matches!(place, 0 | 17..=20 | 69 | 70 | 73 | 80 | 81 | 94..=97);
    Verdict::plausible(digits.len() == 12 && date && given && !digits.all_same())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        verdicts(nric, Verdict::Plausible, &["770305-02-1234", "890131065005", "000229-14-1234"]);
        verdicts(nric, Verdict::Invalid, &["771305-02-1234", "770230-02-1234", "770305-17-1234", "77030502123", ""]);
    }
}
