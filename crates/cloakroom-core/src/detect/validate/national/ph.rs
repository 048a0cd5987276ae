//! Philippines.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("ph_tin", tin)];

/// TIN: nine digits and perhaps a branch of three or five. The Bureau of Internal Revenue does not publish its check digit
/// (FOI request BIR-149240649109), so only numbers that cannot be are refused.
fn tin(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let differ = digits.get(..9).is_some_and(|nine| nine.iter().any(|digit| *digit != nine[0]));
    // `20170319124934` is a moment.
    let moment = digits.len() == 14
        && (1900..2100).contains(&digits.number(0..4))
        && day_exists(digits.number(4..6), digits.number(6..8))
        && digits.number(8..10) < 24
        && digits.number(10..12) < 60;
    Verdict::plausible(matches!(digits.len(), 9 | 12 | 14) && differ && !moment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn shapes() {
        verdicts(tin, Verdict::Plausible, &["123-456-789", "123-456-789-000", "284917306", "004 488 793 00000"]);
        verdicts(tin, Verdict::Invalid, &["000-000-000-000", "111111111", "123-456-789-0", "20170319124934", ""]);
    }
}
