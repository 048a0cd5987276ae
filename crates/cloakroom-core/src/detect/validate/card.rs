//! Payment card numbers: the Luhn digit, and which issuers give which numbers (ISO/IEC 7812-1; the networks' own
//! tables).

use super::luhn::luhn;
use super::placeholder::is_sequence;
use super::{Candidate, Digits, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[
    ("card", card),
    ("card_common", card_common),
    ("card_and_not_code", card_and_not_code),
    ("card_in_path", card_in_path),
];

/// Numbers of one issuer: the first digits, from and to (as many digits as written), and lengths from and to.
struct Range {
    digits: u8,
    from: u32,
    to: u32,
    lengths: (usize, usize),
    /// Issued in such numbers that 14 to 16 digits need no context word.
    common: bool,
}

const fn range(digits: u8, from: u32, to: u32, lengths: (usize, usize), common: bool) -> Range {
    Range { digits, from, to, lengths, common }
}

/// The first that fits counts, so narrow ranges stand before wide ones. Sources: ISO/IEC 7812-2's register of issuers
/// as the
/// networks publish it (Visa, Mastercard BIN table, Discover IIN ranges with Diners, JCB and UnionPay, NSPK, NPCI,
/// Elo, Verve, BKM), collected in Wikipedia, "Payment card number".
const RANGES: &[Range] = &[
    range(1, 4, 4, (16, 16), true),       // Visa, Visa Electron, Elo and Dankort in its ranges
    range(1, 4, 4, (13, 13), false),      // Visa, old
    range(1, 4, 4, (18, 19), false),      // Visa, Switch
    range(2, 51, 55, (16, 16), true),     // Mastercard
    range(4, 2221, 2720, (16, 16), true), // Mastercard, 2-series
    range(2, 34, 34, (15, 15), true),     // American Express
    range(2, 37, 37, (15, 15), true),     // American Express
    range(4, 6011, 6011, (16, 16), true), // Discover
    range(3, 644, 649, (16, 16), true),   // Discover
    range(2, 65, 65, (16, 16), true),     // Discover, RuPay, Elo, Troy, Verve
    range(3, 300, 305, (14, 14), true),   // Diners Club
    range(4, 3095, 3095, (14, 14), true), // Diners Club
    range(2, 36, 36, (14, 14), true),     // Diners Club
    range(2, 38, 39, (14, 14), true),     // Diners Club
    range(2, 30, 30, (14, 19), false),    // Diners Club
    range(2, 36, 36, (15, 19), false),    // Diners Club
    range(6, 384_100, 384_199, (16, 19), false), // Hipercard
    range(2, 38, 39, (15, 19), false),    // Diners Club
    range(4, 3528, 3589, (16, 16), true), // JCB
    range(2, 35, 35, (16, 19), false),    // JCB, RuPay
    range(4, 2131, 2131, (15, 15), false), // JCB, old
    range(4, 1800, 1800, (15, 15), false), // JCB, old
    range(2, 31, 31, (19, 19), false),    // UnionPay T-Union
    range(2, 62, 62, (16, 16), true),     // UnionPay
    range(2, 62, 62, (17, 19), false),    // UnionPay
    range(2, 81, 82, (16, 19), false),    // UnionPay, RuPay
    range(4, 2200, 2204, (16, 16), true), // Mir
    range(4, 2200, 2205, (16, 19), false), // Mir, Borica
    range(4, 5018, 5018, (16, 16), true), // Maestro
    range(4, 5019, 5020, (16, 16), true), // Dankort, Maestro
    range(4, 5038, 5038, (16, 16), true), // Maestro
    range(4, 5893, 5893, (16, 16), true), // Maestro
    range(4, 6304, 6304, (16, 16), true), // Maestro
    range(4, 6759, 6763, (16, 16), true), // Maestro
    range(6, 504_175, 504_175, (16, 16), true), // Elo
    range(6, 506_099, 506_198, (16, 16), true), // Verve
    range(6, 506_699, 506_778, (16, 16), true), // Elo
    range(6, 507_865, 507_964, (16, 16), true), // Verve
    range(3, 508, 509, (16, 16), true),   // RuPay, Elo
    range(6, 606_282, 606_282, (16, 16), true), // Hipercard
    range(6, 637_095, 637_095, (16, 16), true), // Hipercard
    range(6, 636_297, 636_368, (16, 16), true), // Elo
    range(4, 9792, 9792, (16, 16), true), // Troy
    range(4, 9860, 9860, (16, 16), false), // Humo
    range(4, 8600, 8600, (16, 16), false), // Uzcard
    range(4, 9704, 9704, (16, 19), false), // Napas
    range(4, 9112, 9112, (16, 16), false), // Belkart
    range(4, 9051, 9051, (16, 16), false), // ArCa
    range(4, 1946, 1946, (16, 16), false), // GPN
    range(2, 50, 50, (12, 19), false),    // Maestro, Verve, GPN
    range(2, 56, 58, (12, 19), false),    // Maestro, Uzcard
    range(1, 6, 6, (12, 19), false),      // Maestro, Discover, RuPay, InterPayment, UkrCard, Laser, Solo, Switch
    range(4, 604, 604, (12, 19), false),  // Maestro UK, 0604
    range(1, 1, 1, (15, 15), false),      // UATP
];

/// The issuer's range when the digits are a card number with its right Luhn digit.
fn issuer(digits: &[u8]) -> Option<&'static Range> {
    let number = |count: u8| {
        digits.get(..usize::from(count)).map(|first| first.iter().fold(0, |sum, digit| sum * 10 + u32::from(*digit)))
    };
    let fits = |range: &&Range| {
        (range.lengths.0..=range.lengths.1).contains(&digits.len())
            && number(range.digits).is_some_and(|first| (range.from..=range.to).contains(&first))
    };
    let found = RANGES.iter().find(fits)?;
    // A round number before its last digit is a number of something else.
    let varied = digits.get(1..digits.len() - 1).is_some_and(|rest| rest.iter().any(|digit| *digit != 0));
    (varied && luhn(digits)).then_some(found)
}

/// One sign between groups, the same everywhere: `4111 1111-1111 1111` is no way of writing a card.
fn one_separator(value: &[u8]) -> bool {
    let mut signs = value.iter().filter(|byte| !byte.is_ascii_digit());
    let first = signs.next();
    signs.all(|sign| Some(sign) == first)
}

/// Four groups out of a longer row: of a memory dump or a table (`6833 6834 6835 6836 6837`), of an account number
/// (`HU98 6543 9805 2290 3131 6610`). Two more groups in front, two behind, or one on each side make a row, unless a card
/// stands next to this one.
fn among_words(candidate: &Candidate<'_>) -> bool {
    const CARD: usize = 19;
    if candidate.value().len() != CARD || !candidate.value().contains(&b' ') {
        return false;
    }
    // `5646 5647 5648 5649`, `2400 2401 2903 2904`: somebody counts.
    let all = candidate.digits();
    let groups = [0, 4, 8, 12].map(|start| all.number(start..start + 4));
    if groups.windows(2).filter(|pair| pair[0] + 1 == pair[1]).count() > 1 {
        return true;
    }
    let (before, after) = (candidate.before(), candidate.after());
    let row = |group: &&[u8]| is_group(group);
    let mut front = 0;
    if before.ends_with(b" ") {
        let groups = || before.rsplitn(5, |byte| *byte == b' ').skip(1).map(ending);
        front = groups().take(2).take_while(row).count();
        // `MT61 ITUT 5978 …`: a bank's letters behind the head of an IBAN.
        if let (1, [_, bank, [a, b, c, d]]) = (front, groups().take(3).collect::<Vec<_>>().as_slice()) {
            let head = a.is_ascii_uppercase() && b.is_ascii_uppercase() && c.is_ascii_digit() && d.is_ascii_digit();
            front += usize::from(head && bank.len() == 4 && bank.iter().all(u8::is_ascii_uppercase));
        }
    }
    let mut back = 0;
    if after.starts_with(b" ") {
        back = after.splitn(4, |byte| *byte == b' ').skip(1).take(2).map(beginning).take_while(row).count();
    }
    if front < 2 && back < 2 && (front == 0 || back == 0) {
        return false;
    }
    let digits = |text: &[u8]| text.iter().all(|byte| byte.is_ascii_digit() || *byte == b' ');
    let card = |text: Option<&[u8]>| text.is_some_and(|text| digits(text) && issuer(&Digits::of(text)).is_some());
    let in_front = before.len().checked_sub(CARD + 1).and_then(|start| before.get(start..before.len() - 1));
    !card(in_front) && !card(after.get(1..=CARD))
}

/// Four or five signs of a decimal or hexadecimal number, or of an account number; a word in capitals is none.
fn is_group(text: &[u8]) -> bool {
    (4..=5).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase() || matches!(byte, b'a'..=b'f'))
        && text.iter().any(u8::is_ascii_digit)
}

/// The part of a piece that touches the spaces towards the number: not the line above, no bracket, no quote.
fn beginning(text: &[u8]) -> &[u8] {
    text.split(|byte| !byte.is_ascii_alphanumeric()).next().unwrap_or_default()
}

fn ending(text: &[u8]) -> &[u8] {
    text.rsplit(|byte| !byte.is_ascii_alphanumeric()).next().unwrap_or_default()
}

/// A number of any issuer.
fn card(candidate: &Candidate<'_>) -> Verdict {
    Verdict::checksum(
        one_separator(candidate.value()) && !among_words(candidate) && issuer(&candidate.digits()).is_some(),
    )
}

/// A number of an issuer so common that it needs no context word.
fn card_common(candidate: &Candidate<'_>) -> Verdict {
    let common = issuer(&candidate.digits()).is_some_and(|range| range.common);
    // `2345678901234560`: somebody ran along the keys.
    let counted = candidate.value().len() == 16 && is_sequence(candidate.value());
    Verdict::checksum(common && !counted && one_separator(candidate.value()))
}

/// A number of 19 digits in groups, that is not one of 16 digits with its code of three behind it. Where both could
/// be, it
/// is the issuer who decides: only UnionPay and Maestro give 19 digits often.
fn card_and_not_code(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let short = digits.get(..16).is_some_and(|first| issuer(first).is_some());
    let often_long = matches!(digits.get(..2), Some([6, 2] | [5, 0 | 6..=8] | [6, 3 | 7]));
    // `AE42 4197 7262 0474 6158 816`: the rest of an IBAN.
    let iban = matches!(*candidate.before(), [.., a, b, c, d, b' ']
        if a.is_ascii_uppercase() && b.is_ascii_uppercase() && c.is_ascii_digit() && d.is_ascii_digit());
    if short && !often_long || iban { Verdict::Invalid } else { card(candidate) }
}

/// A number that a slash parts from its neighbours: a piece of a URL's or a file's path.
fn card_in_path(candidate: &Candidate<'_>) -> Verdict {
    let joins =
        |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b'-' | b'.' | b'+' | b'%' | b'@' | b'~' | b'_'));
    let (before, after) = (candidate.before(), candidate.after());
    let ends = !joins(after.first()) || after.len() == 1;
    if before.last() == Some(&b'/') && ends { card(candidate) } else { Verdict::Invalid }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(validator: Validator, text: &str) -> Verdict {
        validator(&Candidate::new(text.as_bytes(), 0..text.len()).expect("in the text"))
    }

    #[test]
    fn numbers_that_networks_publish_for_tests() {
        // PayPal, Stripe, Adyen and Worldpay test numbers; NSPK's, RuPay's and Elo's samples.
        for good in [
            "4111111111111111",
            "4222222222222",
            "4988438843884305",
            "5555555555554444",
            "2223003122003222",
            "2222405343248877",
            "378282246310005",
            "371449635398431",
            "6011111111111117",
            "6445644564456445",
            "30569309025904",
            "36006666333344",
            "3530111333300000",
            "6200000000000005",
            "6205500000000000004",
            "6759649826438453",
            "2200770212727079",
            "6362970000457013",
            "6062826786276634",
            "5066991111111118",
        ] {
            assert_eq!(verdict(card, good), Verdict::Valid, "{good}");
            let last = good.as_bytes()[good.len() - 1];
            let bad = format!("{}{}", &good[..good.len() - 1], (last - b'0' + 1) % 10);
            assert_eq!(verdict(card, &bad), Verdict::Invalid, "{bad}");
        }
    }

    #[test]
    fn what_is_no_card() {
        for bad in
            ["0000000000000000", "6000000000000007", "9999999999999995", "4111 1111-1111 1111", "79927398713", ""]
        {
            assert_eq!(verdict(card, bad), Verdict::Invalid, "{bad}");
        }
        assert_eq!(verdict(card_common, "4222222222222"), Verdict::Invalid);
        assert_eq!(verdict(card_common, "4111-1111-1111-1111"), Verdict::Valid);
        assert_eq!(verdict(card_common, "2345678901234560"), Verdict::Invalid);
        // The Luhn digit of the 19 digits is right as well.
        assert_eq!(verdict(card_and_not_code, "4111 1111 1111 1111 003"), Verdict::Invalid);
    }

    #[test]
    fn cards_in_rows_of_groups() {
        let verdict = |marked: &str| {
            let (start, end) = (marked.find('[').expect("["), marked.rfind(']').expect("]"));
            let text = format!("{}{}{}", &marked[..start], &marked[start + 1..end], &marked[end + 1..]);
            card(&Candidate::new(text.as_bytes(), start..end - 1).expect("in the text"))
        };
        for good in [
            "card [4111 1111 1111 1111]",
            "paid in 2024: [4111 1111 1111 1111] 1226",
            "VISA CARD [4111 1111 1111 1111] 123",
            "5555 5555 5555 4444 [4111 1111 1111 1111] 5105 1051 0510 5100",
        ] {
            assert_eq!(verdict(good), Verdict::Valid, "{good}");
        }
        for bad in [
            "6832 6833 [6834 6835 6836 6837] 6838",
            "6833 [6834 6835 6836 6837] 683A\n683B",
            "506F [5646 5647 5648 5649] 5074 5075 5076 5077",
            "750 x [2400 2401 2903 2904] y",
            "847F [6963 6973 7164 7442] 7996 587A\n69D1 9176",
            "682F\n6830 6831 [6834 6835 6836 6837]\n6838",
            "IBAN (HU98 [6543 9805 2290 3131] 6610 0559),",
            "\"MT61 ITUT 5978 [5228 5954 7087 6040] 238\"",
        ] {
            assert_eq!(verdict(bad), Verdict::Invalid, "{bad}");
        }
    }
}
