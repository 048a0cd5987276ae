//! Payment card numbers: 12 to 19 digits (ISO/IEC 7812-1), alone or in groups with single spaces or
//! dashes, whose check digit is right (Luhn, ISO/IEC 7812-1 annex B).

use super::{Detector, Span};

pub(super) struct CreditCard;

impl Detector for CreditCard {
    fn entity(&self) -> &'static str {
        "CREDIT_CARD"
    }

    fn rule(&self) -> &'static str {
        "credit-card"
    }

    fn detect(&self, text: &str, emit: &mut dyn FnMut(Span)) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            if !bytes[at].is_ascii_digit() {
                at += 1;
                continue;
            }
            let (start, mut end) = (at, at);
            let mut digits = [0_u8; 19];
            let mut count = 0;
            while at < bytes.len() {
                if bytes[at].is_ascii_digit() {
                    if count < 19 {
                        digits[count] = bytes[at] - b'0';
                    }
                    count += 1;
                    at += 1;
                    end = at;
                } else if matches!(bytes[at], b' ' | b'-') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
                    at += 1;
                } else {
                    break;
                }
            }
            // Part of a longer token (a UUID, a decimal, a path) is no card, whatever its digits add up to.
            let alone = !goes_on(bytes[..start].iter().rev()) && !goes_on(bytes[end..].iter());
            // Issuers' numbers begin with 2 to 6 (ISO/IEC 7812 major industries 2 to 6).
            if (12..=19).contains(&count) && alone && (2..=6).contains(&digits[0]) && luhn(&digits[..count]) {
                emit(Span { range: start..end, confidence: 1.0, validated: true });
            }
        }
    }
}

/// True when a token goes on: a letter or `_`, or a joining sign and then a letter or digit.
fn goes_on<'a>(mut next: impl Iterator<Item = &'a u8>) -> bool {
    match next.next() {
        Some(b'-' | b'.') => next.next().is_some_and(u8::is_ascii_alphanumeric),
        Some(byte) => byte.is_ascii_alphabetic() || *byte == b'_',
        None => false,
    }
}

/// The Luhn check over decimal digits.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, &digit)| {
            let doubled = u32::from(digit) * if index % 2 == 1 { 2 } else { 1 };
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_found_by_their_check_digit() {
        let found = |text: &'static str| {
            let mut spans = Vec::new();
            CreditCard.detect(text, &mut |span| spans.push(&text[span.range]));
            spans
        };
        // Test numbers that card networks publish for developers.
        assert_eq!(found("pay 4111-1111-1111-1111 now"), ["4111-1111-1111-1111"]);
        assert_eq!(found("378282246310005, 5555 5555 5555 4444"), ["378282246310005", "5555 5555 5555 4444"]);
        assert_eq!(found("4111-1111-1111-1112"), Vec::<&str>::new());
        assert_eq!(found("id_4111111111111111 4111111111111111x 0000000000000000"), Vec::<&str>::new());
        assert_eq!(found("card:4111111111111111, card=4111111111111111."), ["4111111111111111"; 2]);
        assert_eq!(found("5e2a1f00-4111-1111-1111-1111aaaaaaaa 4111111111111111.25"), Vec::<&str>::new());
        assert_eq!(found("411111111111111141111111111111114111111111111111"), Vec::<&str>::new());
    }
}
