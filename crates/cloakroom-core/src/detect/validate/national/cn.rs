//! China.

use chrono::NaiveDate;

use crate::detect::validate::iso7064::mod_11_2;
use crate::detect::validate::{Candidate, Digits, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("cn_resident_id", resident_id)];

/// Citizen identification number: region (GB/T 2260), date of birth, sequence, and a check character after ISO 7064 mod
/// 11-2 (GB 11643-1999). 71, 81, 82 and 83 are for residents from Taiwan, Hong Kong and Macau.
fn resident_id(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    if text.len() != 18 {
        return Verdict::Invalid;
    }
    let digits = Digits::of(&text[..17]);
    let region = matches!(
        digits.number(0..2),
        11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83
    );
    let year = digits.number(6..10);
    let date = NaiveDate::from_ymd_opt(year as i32, digits.number(10..12), digits.number(12..14));
    let possible = digits.len() == 17 && region && (1880..2050).contains(&year) && date.is_some();
    Verdict::checksum(possible && mod_11_2(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        // The examples of GB 11643-1999.
        verdicts(
            resident_id,
            Verdict::Valid,
            &["11010519491231002X", "440524188001010014", "360426199101010071", "11010519491231002x"],
        );
        let bad = ["110105194912310021", "110105194913310021", "990105194912310023", "11010519491231002", "X", ""];
        verdicts(resident_id, Verdict::Invalid, &bad);
    }
}
