//! E-mail addresses: the `@` is looked for, then the text around it. The address forms that people use
//! (RFC 5321's dot-string and a domain with a top level), not quoted local parts or address literals.

use super::{Detector, Span};

pub(super) struct EmailAddress;

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-.".contains(&byte) || byte >= 0x80
}

fn is_domain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.') || byte >= 0x80
}

impl Detector for EmailAddress {
    fn entity(&self) -> &'static str {
        "EMAIL_ADDRESS"
    }

    fn rule(&self) -> &'static str {
        "email-address"
    }

    fn detect(&self, text: &str, emit: &mut dyn FnMut(Span)) {
        let bytes = text.as_bytes();
        let mut free_from = 0;
        for at in memchr::memchr_iter(b'@', bytes) {
            // RFC 5321 section 4.5.3.1: at most 64 bytes before the `@` and 255 after it.
            let mut start = at;
            while start > free_from && at - start < 64 && is_local(bytes[start - 1]) {
                start -= 1;
            }
            while start < at && matches!(bytes[start], b'.' | b'\'' | b'=' | b'/' | b'*' | b'`' | b'{' | b'|') {
                start += 1;
            }
            // `user=alice@example.com`: what stands before the last `=` is a key, not part of the address.
            if let Some(equals) = bytes[start..at].iter().rposition(|b| *b == b'=') {
                start += equals + 1;
            }
            let mut end = at + 1;
            while end < bytes.len() && end - at <= 255 && is_domain(bytes[end]) {
                end += 1;
            }
            while end > at + 1 && matches!(bytes[end - 1], b'.' | b'-') {
                end -= 1;
            }
            while !text.is_char_boundary(start) {
                start += 1;
            }
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            let (local, domain) = (&text[start..at.max(start)], &text[at + 1..end.max(at + 1)]);
            let Some((_, top)) = domain.rsplit_once('.') else { continue };
            let plausible = !local.is_empty()
                && !local.ends_with('.')
                && !local.contains("..")
                && !domain.starts_with(['.', '-'])
                && !domain.contains("..")
                && top.chars().count() >= 2
                && !top.bytes().all(|b| b.is_ascii_digit());
            if plausible {
                free_from = end;
                emit(Span { range: start..end, confidence: 0.9, validated: false });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_with_their_exact_span() {
        let found = |text: &'static str| {
            let mut spans = Vec::new();
            EmailAddress.detect(text, &mut |span| spans.push(&text[span.range]));
            spans
        };
        assert_eq!(
            found("mail a.b+c@mail.example.com, or <d@example.org>."),
            ["a.b+c@mail.example.com", "d@example.org"]
        );
        assert_eq!(found("user=alice@example.com;x"), ["alice@example.com"]);
        assert_eq!(found("josé@exämple.es!"), ["josé@exämple.es"]);
        assert_eq!(found("a@b a@ @b.com x@1.2 a@b..com a..b@c.com@ foo@bar."), Vec::<&str>::new());
        assert_eq!(found("a@example.com@example.org").len(), 1);
    }
}
