//! Romania.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("ro_cnp", cnp)];

/// Cod numeric personal: sex and century, birthday, county, serial and a check digit modulo 11, 10 as 1 (Legea
/// 105/1996).
fn cnp(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    if digits.len() != 13 || digits[0] == 0 {
        return Verdict::Invalid;
    }
    let birthday = day_exists(digits.number(3..5), digits.number(5..7));
    let county = matches!(digits.number(7..9), 1..=48 | 51 | 52 | 70 | 80..=83);
    let rest = weighted_sum(&digits, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    let check = if rest == 10 { 1 } else { rest };
    Verdict::checksum(birthday && county && digits.number(9..12) > 0 && check == u32::from(digits[12]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The example of Wikipedia and python-stdnum, and made-up ones.
        for good in ["1630615123457", "2840725125022"] {
            assert_eq!(verdict(cnp, good), Verdict::Valid, "{good}");
        }
        for bad in ["0800101221142", "1632215123457", "1630615993454", "1630615123458", "163061512345"] {
            assert_eq!(verdict(cnp, bad), Verdict::Invalid, "{bad}");
        }
    }
}
