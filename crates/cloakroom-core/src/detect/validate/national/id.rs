//! Indonesia.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("id_nik", nik)];

/// NIK: province, regency and district, date of birth as `DDMMYY` with 40 more days for women, and a sequence. It has no
/// check digit (Ministry of Home Affairs, Permendagri 72/2022 for the provinces).
fn nik(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let province = digits.number(0..2);
    let place = matches!(province, 11..=21 | 31..=36 | 51..=53 | 61..=65 | 71..=76 | 81 | 82 | 91..=97)
        && (1..80).contains(&digits.number(2..4))
        && digits.number(4..6) != 0;
    let day = digits.number(6..8);
    let day = if day > 40 { day - 40 } else { day };
    let date = day_exists(digits.number(8..10), day);
    Verdict::plausible(digits.len() == 16 && place && date && digits.number(12..16) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        verdicts(nik, Verdict::Plausible, &["3171011708450001", "3171015708450001", "3171012902001234"]);
        let bad =
            ["9971011708450001", "3171013002001234", "3171011713450001", "3171011708450000", "31710117084500", ""];
        verdicts(nik, Verdict::Invalid, &bad);
    }
}
