//! Mexico.

use chrono::NaiveDate;

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] =
    &[("mx_curp", curp), ("mx_rfc", rfc), ("mx_clabe", clabe)];

/// Two letters for each state, and NE for births abroad (RENAPO, "Instructivo normativo para la asignación de la CURP").
const STATES: [&[u8; 2]; 34] = [
    b"AS", b"BC", b"BS", b"CC", b"CH", b"CL", b"CM", b"CS", b"CX", b"DF", b"DG", b"GR", b"GT", b"HG", b"JC", b"MC",
    b"MN", b"MS", b"NE", b"NL", b"NT", b"OC", b"PL", b"QR", b"QT", b"SL", b"SP", b"SR", b"TC", b"TL", b"TS", b"VZ",
    b"YN", b"ZS",
];

/// `Ñ` in the middle of UTF-8 is written as this byte, which stands in no number.
const ENYE: u8 = b'*';

/// Worth of a character in the check digits of CURP and RFC: 0 to 9, A to N, Ñ (CURP) or & (RFC), O to Z, space, Ñ (RFC).
fn worth(byte: u8) -> u32 {
    match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        b'A'..=b'N' => u32::from(byte - b'A') + 10,
        b'&' => 24,
        b'O'..=b'Z' => u32::from(byte - b'A') + 11,
        ENYE => 38,
        _ => 37,
    }
}

fn two(text: &[u8]) -> Option<u32> {
    match text {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', ..] => Some(u32::from(tens - b'0') * 10 + u32::from(ones - b'0')),
        _ => None,
    }
}

/// `YYMMDD`, in the century that begins with `century`.
fn is_date(text: &[u8], century: i32) -> bool {
    let (Some(year), Some(month), Some(day)) = (two(text), two(&text[2..]), two(&text[4..])) else { return false };
    NaiveDate::from_ymd_opt(century + year as i32, month, day).is_some()
}

/// CURP: letters of the name, date of birth, sex, state, consonants of the name, a character that tells the century, and a
/// check digit modulo 10 (RENAPO, instructive of 18 June 2021).
fn curp(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    if text.len() != 18 {
        return Verdict::Invalid;
    }
    let century = if text[16].is_ascii_digit() { 1900 } else { 2000 };
    let possible = is_date(&text[4..10], century)
        && matches!(text[10], b'H' | b'M' | b'X')
        && STATES.iter().any(|state| text[11..13] == state[..]);
    let sum: u32 = text[..17].iter().zip((2..=18).rev()).map(|(byte, weight)| worth(*byte) * weight).sum();
    Verdict::checksum(possible && worth(text[17]) == (10 - sum % 10) % 10)
}

/// RFC: four letters of a person's name or three of a company's, a date, two characters against namesakes, and a check
/// digit modulo 11 (SAT, annex III of the "Instructivo para la formación de la clave del RFC").
fn rfc(candidate: &Candidate<'_>) -> Verdict {
    let mut text = [b' '; 13];
    let mut len = 0;
    for &byte in candidate.value() {
        let byte = match byte {
            b' ' | b'-' | 0xC3 => continue,
            0x91 => ENYE,
            other => other,
        };
        let Some(place) = text.get_mut(len) else { return Verdict::Invalid };
        *place = byte;
        len += 1;
    }
    match len {
        12 => text.rotate_right(1),
        13 => {}
        _ => return Verdict::Invalid,
    }
    // Two digits of a year stand for both centuries; 2000 was a leap year, as is every year that can be divided by four.
    let sum: u32 = text[..12].iter().zip((2..=13).rev()).map(|(byte, weight)| worth(*byte) * weight).sum();
    Verdict::checksum(is_date(&text[4..10], 2000) && worth(text[12]) == (11 - sum % 11) % 11)
}

/// CLABE: bank, town, account and a check digit with the weights 3, 7, 1 (Asociación de Bancos de México).
fn clabe(candidate: &Candidate<'_>) -> Verdict {
    const WEIGHTS: [u32; 17] = [3, 7, 1, 3, 7, 1, 3, 7, 1, 3, 7, 1, 3, 7, 1, 3, 7];
    let digits = candidate.digits();
    let right = digits.len() == 18 && u32::from(digits[17]) == (10 - weighted_sum(&digits, &WEIGHTS) % 10) % 10;
    Verdict::checksum(right && digits.number(0..3) != 0 && !digits.all_same())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        verdicts(curp, Verdict::Valid, &["BOXW310820HNERXN09", "boxw310820hnerxn09", "HEGG560427MVZRRL04"]);
        let bad = ["BOXW310820HNERXN08", "BOXW311320HNERXN09", "BOXW310820HZZRXN09", "BOXW310820HNERXN0", ""];
        verdicts(curp, Verdict::Invalid, &bad);
        verdicts(
            rfc,
            Verdict::Valid,
            &["GODE561231GR8", "GODE 561231 GR8", "MAB-930714-8T4", "ÑAMO900101AB5", "P&G9907157A7"],
        );
        verdicts(rfc, Verdict::Invalid, &["GODE561231GR9", "GODE561331GR8", "VACE-460910-SX6", "COMG600703", ""]);
        verdicts(clabe, Verdict::Valid, &["032180000118359719", "002010077777777771"]);
        verdicts(clabe, Verdict::Invalid, &["032180000118359718", "000000000000000000", "03218000011835971", ""]);
    }
}
