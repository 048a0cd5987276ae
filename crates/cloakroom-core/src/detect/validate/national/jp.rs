//! Japan.

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] =
    &[("jp_my_number", my_number), ("jp_corporate_number", corporate_number)];

/// Individual number: eleven digits and a check digit modulo 11 (総務省令第八十五号, 2014, article 5).
fn my_number(candidate: &Candidate<'_>) -> Verdict {
    const WEIGHTS: [u32; 11] = [6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2];
    let digits = candidate.digits();
    let check = match weighted_sum(&digits, &WEIGHTS) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    Verdict::checksum(digits.len() == 12 && u32::from(digits[11]) == check && !digits.all_same())
}

/// Corporate number: a check digit of 1 to 9 modulo 9, then twelve digits (財務省令第七十号, 2014, article 2).
fn corporate_number(candidate: &Candidate<'_>) -> Verdict {
    const WEIGHTS: [u32; 12] = [2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1];
    let digits = candidate.digits();
    let Some((check, number)) = digits.split_first() else { return Verdict::Invalid };
    let right = number.len() == 12 && u32::from(*check) == 9 - weighted_sum(number, &WEIGHTS) % 9;
    Verdict::checksum(right && !digits.all_same())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        verdicts(my_number, Verdict::Valid, &["6214 9832 0257", "123456789018"]);
        verdicts(my_number, Verdict::Invalid, &["6214 9832 0258", "000000000000", "62149832025", ""]);
        // 7000012050002 is the National Tax Agency itself.
        verdicts(corporate_number, Verdict::Valid, &["7000012050002", "5-8356-7825-6246", "T7000012050002"]);
        verdicts(corporate_number, Verdict::Invalid, &["2-8356-7825-6246", "7000012050003", "700001205000", ""]);
    }
}
