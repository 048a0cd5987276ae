//! Finland.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::{Candidate, Digits, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] =
    &[("fi_personal_identity_code", identity_code)];

const CHECKS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";

/// Henkilötunnus: birthday, a sign of the century, a serial from 002, and a check character: the nine digits modulo
/// 31 (Digi- ja väestötietovirasto, "The personal identity code").
fn identity_code(candidate: &Candidate<'_>) -> Verdict {
    let value = candidate.value();
    let (Some(serial), Some(check)) = (value.get(7..10), value.get(10)) else { return Verdict::Invalid };
    let (birthday, serial) = (Digits::of(&value[..6]), Digits::of(serial));
    if value.len() != 11 || birthday.len() != 6 || serial.len() != 3 || serial.number(0..3) < 2 {
        return Verdict::Invalid;
    }
    let number = birthday.number(0..6) * 1000 + serial.number(0..3);
    let right = CHECKS[(number % 31) as usize] == check.to_ascii_uppercase();
    Verdict::checksum(right && day_exists(birthday.number(2..4), birthday.number(0..2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The examples of the Digi- ja väestötietovirasto.
        for good in ["131052-308T", "131052a308t", "010594Y9032"] {
            assert_eq!(verdict(identity_code, good), Verdict::Valid, "{good}");
        }
        for bad in ["131052-308U", "311352-308T", "320152-308T", "131052-001T", "131052-30"] {
            assert_eq!(verdict(identity_code, bad), Verdict::Invalid, "{bad}");
        }
    }
}
