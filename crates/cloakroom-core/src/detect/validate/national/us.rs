//! United States.

use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("us_ssn", ssn)];

/// Numbers that the Social Security Administration never gives: area 000, 666 and 900 to 999, group 00, serial 0000
/// (SSA, "Social Security Number Randomization"), and the two that became famous in advertisements.
fn ssn(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let (area, group, serial) = (digits.number(0..3), digits.number(3..5), digits.number(5..9));
    let given = digits.len() == 9 && area != 0 && area != 666 && area < 900 && group != 0 && serial != 0;
    Verdict::plausible(given && !digits.all_same())
}
