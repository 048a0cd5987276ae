//! Türkiye.

use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("tr_national_id", national_id)];

/// T.C. kimlik numarası: nine digits, the first not 0, and two check digits modulo 10 (Nüfus ve Vatandaşlık İşleri).
fn national_id(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    if digits.len() != 11 || digits[0] == 0 {
        return Verdict::Invalid;
    }
    let every_second = |from: usize| -> u32 { digits[from..9].iter().step_by(2).map(|digit| u32::from(*digit)).sum() };
    let (odd, even) = (every_second(0), every_second(1));
    let tenth = (odd * 7 + 100 - even) % 10;
    let eleventh = (odd + even + tenth) % 10;
    Verdict::checksum(u32::from(digits[9]) == tenth && u32::from(digits[10]) == eleventh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        // 10000000146 is the number of Mustafa Kemal Atatürk, which every description of the algorithm uses.
        verdicts(national_id, Verdict::Valid, &["10000000146", "17291716060"]);
        verdicts(national_id, Verdict::Invalid, &["17291716050", "10000000145", "07291716092", "1729171606", ""]);
    }
}
