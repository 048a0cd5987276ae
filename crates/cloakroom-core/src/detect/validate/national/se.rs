//! Sweden.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::luhn::luhn;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] =
    &[("se_personnummer", personnummer), ("se_organisationsnummer", organisationsnummer)];

/// Birthday (in twelve digits with its century), serial and a Luhn digit over the last ten; a samordningsnummer has
/// 60 added to the day (Folkbokföringslagen 1991:481 § 18; Skatteverket SKV 704 and 707).
fn personnummer(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let ten = match digits.len() {
        10 => &digits[..],
        12 if (18..=20).contains(&digits.number(0..2)) => &digits[2..],
        _ => return Verdict::Invalid,
    };
    let two = |at: usize| u32::from(ten[at]) * 10 + u32::from(ten[at + 1]);
    let day = two(4);
    let birthday = day_exists(two(2), if day > 60 { day - 60 } else { day });
    let serial = ten[6..9].iter().any(|digit| *digit != 0);
    Verdict::checksum(birthday && serial && luhn(ten))
}

/// Ten digits with a Luhn digit; the third one is 2 or more, so that no birthday is one (Lag 1974:174). In a VAT
/// number 01 follows.
fn organisationsnummer(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let ten = match digits.len() {
        10 => &digits[..],
        12 if digits.number(10..12) > 0 => &digits[..10],
        _ => return Verdict::Invalid,
    };
    Verdict::checksum(matches!(ten[0], 1..=3 | 5..=9) && ten[2] >= 2 && luhn(ten))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The examples of Skatteverket and Bolagsverket.
        for good in ["640823-3234", "19640823-3234", "196408233234", "811228-9874", "701063-2391", "880320+0016"] {
            assert_eq!(verdict(personnummer, good), Verdict::Valid, "{good}");
        }
        for bad in
            ["640823-3235", "641323-3234", "640832-3234", "556036-0793", "22640823-3234", "64082-3323", "000000-0000"]
        {
            assert_eq!(verdict(personnummer, bad), Verdict::Invalid, "{bad}");
        }
        for good in ["556036-0793", "202100-5489", "SE556036079301"] {
            assert_eq!(verdict(organisationsnummer, good), Verdict::Valid, "{good}");
        }
        for bad in ["556036-0794", "640823-3234", "SE556036079300", "55603607"] {
            assert_eq!(verdict(organisationsnummer, bad), Verdict::Invalid, "{bad}");
        }
    }
}
