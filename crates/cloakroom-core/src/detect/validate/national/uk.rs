//! United Kingdom.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Digits, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[
    ("uk_nhs", nhs),
    ("uk_nino", nino),
    ("uk_driving_licence", driving_licence),
    ("uk_utr", utr),
    ("uk_plate_age", plate_age),
    ("uk_postcode", postcode),
];

/// NHS number: weights 10 to 2, and the check digit makes the sum a multiple of 11 (NHS Data Dictionary, NHS NUMBER).
fn nhs(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let sum = weighted_sum(&digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    Verdict::checksum(digits.len() == 10 && !digits.all_same() && sum.is_multiple_of(11))
}

/// National insurance number: prefixes that are given (HMRC, National Insurance Manual NIM39110).
fn nino(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let [first, second, ..] = *text else { return Verdict::Invalid };
    let letters = !b"DFIQUV".contains(&first) && !b"DFIOQUV".contains(&second);
    let never: [&[u8; 2]; 7] = [b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"];
    Verdict::plausible(text.len() == 9 && letters && !never.contains(&&[first, second]))
}

/// Driver number of the DVLA, `MORGA657054SM9IJ`: five letters of the surname filled up with 9; then the birthday as
/// decade, month (50 more for women), day and year; initials; a digit and two letters that the DVLA computes and does
/// not publish.
fn driving_licence(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    if text.len() < 16 || text.iter().all(|byte| byte.is_ascii_digit()) {
        return Verdict::Invalid;
    }
    let (surname, initials) = (&text[..5], &text[11..13]);
    // A letter behind a 9 is none of a name.
    let filled = |part: &[u8]| !part.windows(2).any(|pair| pair[0] == b'9' && pair[1] != b'9');
    let birthday = Digits::of(&text[5..11]);
    let (month, day) = (birthday.number(1..3), birthday.number(3..5));
    let month = if month > 50 { month - 50 } else { month };
    Verdict::plausible(filled(surname) && filled(initials) && birthday.len() == 6 && day_exists(month, day))
}

/// Unique taxpayer reference: the first digit checks the nine behind it (OECD, "UK: Information on Tax Identification
/// Numbers").
fn utr(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let sum = weighted_sum(digits.get(1..).unwrap_or_default(), &[6, 7, 8, 9, 10, 5, 4, 3, 2]);
    let check = [2, 1, 9, 8, 7, 6, 5, 4, 3, 2, 1][sum as usize % 11];
    Verdict::checksum(digits.len() == 10 && !digits.all_same() && digits[0] == check)
}

/// Age identifier of a number plate since 2001, `AB51 CDE`: 02 to 49 in spring, 51 to 99 in autumn; years still to come
/// are none.
fn plate_age(candidate: &Candidate<'_>) -> Verdict {
    let age = candidate.digits();
    Verdict::plausible(age.len() == 2 && matches!(age.number(0..2), 2..=35 | 51..=85))
}

/// Postcode areas (Royal Mail), the Crown dependencies among them.
const AREAS: &str = "\
    AB AL B BA BB BD BH BL BN BR BS BT CA CB CF CH CM CO CR CT CV CW DA DD DE DG DH DL DN DT DY E EC EH EN EX FK \
    FY G GL GU GY HA HD HG HP HR HS HU HX IG IM IP IV JE KA KT KW KY L LA LD LE LL LN LS LU M ME MK ML N NE NG NN \
    NP NR NW OL OX PA PE PH PL PO PR RG RH RM S SA SE SG SK SL SM SN SO SP SR SS ST SW SY TA TD TF TN TQ TR TS TW \
    UB W WA WC WD WF WN WR WS WV YO ZE";

/// Postcode: the letters that it begins with are those of an area.
fn postcode(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let letters = text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    Verdict::plausible(AREAS.split(' ').any(|area| area.as_bytes() == &text[..letters]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The number of the NHS's own material, and one of its test patients.
        for good in ["943 476 5919", "9434765919", "999-000-0018"] {
            assert_eq!(verdict(nhs, good), Verdict::Valid, "{good}");
        }
        for bad in ["943 476 5918", "0000000000", "123456789"] {
            assert_eq!(verdict(nhs, bad), Verdict::Invalid, "{bad}");
        }
        assert_eq!(verdict(utr, "1955839661"), Verdict::Valid);
        assert_eq!(verdict(utr, "2955839661"), Verdict::Invalid);
        // The DVLA's specimen.
        assert_eq!(verdict(driving_licence, "MORGA657054SM9IJ"), Verdict::Plausible);
        for bad in ["MORGA657324SM9IJ", "MORGA633054SM9IJ", "M9RGA657054SM9IJ", "MORGA657054SM"] {
            assert_eq!(verdict(driving_licence, bad), Verdict::Invalid, "{bad}");
        }
    }

    #[test]
    fn prefixes_that_are_never_given() {
        assert_eq!(verdict(nino, "AB 12 34 56 C"), Verdict::Plausible);
        for bad in ["QQ123456C", "GB123456A", "ZZ123456A", "AO123456A", "DA123456A"] {
            assert_eq!(verdict(nino, bad), Verdict::Invalid, "{bad}");
        }
        assert_eq!(verdict(plate_age, "AB51 CDE"), Verdict::Plausible);
        assert_eq!(verdict(plate_age, "AB50 CDE"), Verdict::Invalid);
        assert_eq!(verdict(postcode, "sw1a 2aa"), Verdict::Plausible);
        assert_eq!(verdict(postcode, "ZA1A 2AA"), Verdict::Invalid);
    }
}
