//! Denmark.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("dk_cpr", cpr)];

/// CPR number: birthday and four digits. Until 2007 all were divisible by 11 with weights 4, 3, 2, 7, 6, 5, 4, 3, 2,
/// 1; since then not all are (CPR-kontoret, "Personnumre uden kontrolciffer").
fn cpr(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let (day, month) = (digits.number(0..2), digits.number(2..4));
    if digits.len() != 10 || !day_exists(month, day) || digits.number(6..10) == 0 {
        return Verdict::Invalid;
    }
    let sum = weighted_sum(&digits, &[4, 3, 2, 7, 6, 5, 4, 3, 2, 1]);
    if sum.is_multiple_of(11) { Verdict::Valid } else { Verdict::Plausible }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The worked example of the CPR-kontoret, and python-stdnum's.
        assert_eq!(verdict(cpr, "070761-4285"), Verdict::Valid);
        assert_eq!(verdict(cpr, "211062-5629"), Verdict::Valid);
        assert_eq!(verdict(cpr, "211062-5628"), Verdict::Plausible);
        for bad in ["511062-5629", "211362-5629", "310462-5629", "211062-562"] {
            assert_eq!(verdict(cpr, bad), Verdict::Invalid, "{bad}");
        }
    }
}
