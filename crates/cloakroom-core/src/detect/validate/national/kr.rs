//! South Korea.

use chrono::NaiveDate;

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Digits, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[
    ("kr_rrn", rrn),
    ("kr_frn", frn),
    ("kr_frn_random", frn_random),
    ("kr_brn", brn),
    ("kr_driver_license", driver_license),
];

const WEIGHTS: [u32; 12] = [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5];

/// Date of birth of a registration number whose seventh digit is one of four: `first` and the next for the 20th century,
/// the two after them for the 21st.
fn born(digits: &Digits, first: u8) -> Option<NaiveDate> {
    let century = match digits.get(6)?.checked_sub(first)? {
        0 | 1 => 1900,
        2 | 3 => 2000,
        _ => return None,
    };
    let born = NaiveDate::from_ymd_opt(century + digits.number(0..2) as i32, digits.number(2..4), digits.number(4..6))?;
    (digits.len() == 13 && born < NaiveDate::from_ymd_opt(2050, 1, 1)?).then_some(born)
}

/// Resident registration number: date of birth, sex and century, and until October 2020 a place and a check digit modulo
/// 11. Since 5 October 2020 new numbers have six random digits: whoever was born a little before it or later has no check
/// digit (Ministry of the Interior and Safety, 주민등록법 시행규칙 제2조).
fn rrn(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let Some(born) = born(&digits, 1) else { return Verdict::Invalid };
    if u32::from(digits[12]) == (11 - weighted_sum(&digits, &WEIGHTS) % 11) % 10 {
        return Verdict::Valid;
    }
    Verdict::plausible(NaiveDate::from_ymd_opt(2020, 9, 1).is_some_and(|first| born >= first))
}

/// Foreigner registration number of the kind with a check digit, which is two more than a resident's.
fn frn(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let right = |digits: &Digits| u32::from(digits[12]) == (13 - weighted_sum(digits, &WEIGHTS) % 11) % 10;
    Verdict::checksum(born(&digits, 5).is_some() && right(&digits))
}

/// Foreigner registration number of the kind with random digits: date of birth and sex only.
fn frn_random(candidate: &Candidate<'_>) -> Verdict {
    Verdict::plausible(born(&candidate.digits(), 5).is_some())
}

/// Business registration number: tax office, kind, serial number and a check digit modulo 10 (National Tax Service).
fn brn(candidate: &Candidate<'_>) -> Verdict {
    const WEIGHTS: [u32; 9] = [1, 3, 7, 1, 3, 7, 1, 3, 5];
    let digits = candidate.digits();
    if digits.len() != 10 || digits.number(0..3) < 101 || digits.number(3..5) == 0 || digits.number(5..9) == 0 {
        return Verdict::Invalid;
    }
    let sum = weighted_sum(&digits, &WEIGHTS) + u32::from(digits[8]) * 5 / 10;
    Verdict::checksum(u32::from(digits[9]) == (10 - sum % 10) % 10)
}

/// Driver's licence: region (11 to 26, 28), year, serial number, and two check digits whose rule is not public.
fn driver_license(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let region = matches!(digits.number(0..2), 11..=26 | 28);
    Verdict::plausible(digits.len() == 12 && region && digits.number(4..10) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        verdicts(rrn, Verdict::Valid, &["900101-1234568", "8507152084568"]);
        verdicts(rrn, Verdict::Plausible, &["201005-3123456", "2301014999992"]);
        let bad = [
            "900101-1234567",
            "901301-1234568",
            "900231-1234568",
            "900101-5234568",
            "990101-3234567",
            "900101-123456",
            "",
        ];
        verdicts(rrn, Verdict::Invalid, &bad);
        verdicts(frn, Verdict::Valid, &["880504-5123454"]);
        verdicts(frn, Verdict::Invalid, &["880504-5123455", "880504-1123454", "881304-5123454", ""]);
        verdicts(frn_random, Verdict::Plausible, &["880504-5123455"]);
        verdicts(frn_random, Verdict::Invalid, &["880231-5123455", "880504-9123455", ""]);
        // 116-82-00276 stands in python-stdnum; 134-86-72683 in its documentation of the format.
        verdicts(brn, Verdict::Valid, &["116-82-00276", "1348672683"]);
        verdicts(brn, Verdict::Invalid, &["116-82-00277", "100-82-00276", "116-00-00276", "", "116820027"]);
        verdicts(driver_license, Verdict::Plausible, &["11-19-123456-78", "281912345678"]);
        verdicts(driver_license, Verdict::Invalid, &["27-19-123456-78", "10-19-123456-78", "11-19-12345-78", ""]);
    }
}
