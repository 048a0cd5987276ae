//! `mask`: part of the value stays to be read by people, the rest becomes `*`.
//!
//! A mask never shows a value whole: one that is too short for its mask is masked altogether.

use std::net::IpAddr;

use compact_str::{CompactString, format_compact};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Applied, BuildContext, Entry, FieldContext, ProtectError, Protection, build_text, map_text, options, schema_of,
};
use crate::value::Value;

pub(super) const ENTRY: Entry = Entry {
    name: "mask",
    doc: "Keeps the first or last characters, or what a style keeps: email, ip, phone, pan, first6last4.",
    main_option: Some("style"),
    example: "mask: { first: 1, last: 4 }",
    build,
    schema: schema_of::<Options>,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// What kind of value it is.
    style: Option<Style>,
    /// Characters kept at the start.
    first: Option<usize>,
    /// Characters kept at the end.
    last: Option<usize>,
    /// With `style: ip`: bits kept of an IPv4 address (default 24).
    ipv4_prefix: Option<u8>,
    /// With `style: ip`: bits kept of an IPv6 address (default 48).
    ipv6_prefix: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Style {
    /// First character and domain: `j***@example.com`.
    Email,
    /// Network prefix: `192.0.2.0/24`.
    Ip,
    /// The last two digits: `+*-***-***-**99`.
    Phone,
    /// Card number: the last four digits.
    Pan,
    /// Card number: the first six and last four digits where PCI DSS allows it, else the last four.
    First6last4,
    /// The last four characters.
    Last4,
}

fn build(given: serde_json::Value, _: &BuildContext<'_>) -> Result<Box<dyn Protection>, String> {
    let Options { style, first, last, ipv4_prefix, ipv6_prefix } = options(given)?;
    let prefixes = (ipv4_prefix.unwrap_or(24), ipv6_prefix.unwrap_or(48));
    if prefixes.0 > 32 || prefixes.1 > 128 {
        return Err("a prefix is at most 32 bits of IPv4 and 128 of IPv6".to_owned());
    }
    if style != Some(Style::Ip) && (ipv4_prefix.is_some() || ipv6_prefix.is_some()) {
        return Err("`ipv4_prefix` and `ipv6_prefix` belong to `style: ip`".to_owned());
    }
    let mask = match (style, first, last) {
        (Some(Style::Last4), None, None) => Mask::Ends { first: 0, last: 4 },
        (Some(Style::Email), None, None) => Mask::Email,
        (Some(Style::Ip), None, None) => Mask::Ip { ipv4: prefixes.0, ipv6: prefixes.1 },
        (Some(Style::Phone), None, None) => Mask::Digits { first_six: false, last: 2 },
        (Some(Style::Pan), None, None) => Mask::Digits { first_six: false, last: 4 },
        (Some(Style::First6last4), None, None) => Mask::Digits { first_six: true, last: 4 },
        (Some(_), _, _) => return Err("`first` and `last` do not go with a style".to_owned()),
        (None, None, None) => {
            return Err(
                "say what stays: `first` and `last` characters, or a style (email, ip, phone, pan, first6last4, last4)"
                    .to_owned(),
            );
        }
        (None, first, last) => Mask::Ends { first: first.unwrap_or(0), last: last.unwrap_or(0) },
    };
    Ok(Box::new(mask))
}

enum Mask {
    Ends { first: usize, last: usize },
    Email,
    Ip { ipv4: u8, ipv6: u8 },
    Digits { first_six: bool, last: usize },
}

impl Protection for Mask {
    fn protect(&self, value: Value, _: &FieldContext<'_>) -> Result<Applied, ProtectError> {
        map_text(value, |text| match *self {
            Self::Ends { first, last } => Ok(ends(text, first, last)),
            Self::Email => Ok(email(text)),
            Self::Ip { ipv4, ipv6 } => network(text, ipv4, ipv6),
            Self::Digits { first_six, last } => Ok(digits(text, first_six, last)),
        })
    }
}

/// A value as people may see it who need not know it: what its form says about it, and no more. A card number shows its
/// last four digits (PCI DSS 3.4.1 allows more), a telephone number two, an e-mail address its domain, an IP address its
/// network, other text its first character.
pub(crate) fn for_display(value: &Value) -> Value {
    let text = match value {
        Value::Null => return Value::Null,
        Value::String(text) => text.as_str(),
        Value::Number(number) => number.as_str(),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => "",
    };
    let count_of_digits = text.bytes().filter(u8::is_ascii_digit).count();
    let is_number = !text.contains(char::is_alphabetic);
    let masked = match network(text, 24, 48) {
        Ok(network) => network,
        Err(_) if text.contains('@') => email(text),
        Err(_) if is_number && count_of_digits >= 12 => digits(text, false, 4),
        Err(_) if is_number && count_of_digits >= 7 => digits(text, false, 2),
        // The length of a name or a code says much about it.
        Err(_) => match text.chars().next() {
            Some(first) if first.is_alphabetic() && text.chars().nth(4).is_some() => format_compact!("{first}***"),
            _ => CompactString::const_new("***"),
        },
    };
    Value::String(masked)
}

/// Keeps `first` and `last` characters when at least one is hidden, else none.
fn ends(text: &str, first: usize, last: usize) -> CompactString {
    let count = if text.is_ascii() { text.len() } else { text.chars().count() };
    let (first, last) = if first.saturating_add(last) < count { (first, last) } else { (0, 0) };
    let byte_of = |character: usize| match text.len() == count {
        true => character,
        false => text.char_indices().nth(character).map_or(text.len(), |(byte, _)| byte),
    };
    let masked = build_text::<std::convert::Infallible>(|out| {
        out.push_str(&text[..byte_of(first)]);
        out.extend(std::iter::repeat_n('*', count - first - last));
        out.push_str(&text[byte_of(count - last)..]);
        Ok(())
    });
    match masked {
        Ok(masked) => masked,
    }
}

/// The mask's length tells nothing about the name's.
fn email(text: &str) -> CompactString {
    match text.rsplit_once('@') {
        Some((local, domain)) if !domain.is_empty() => match local.chars().next() {
            Some(first) if local.chars().count() > 1 => format_compact!("{first}***@{domain}"),
            _ => format_compact!("***@{domain}"),
        },
        _ => ends(text, 0, 0),
    }
}

fn network(text: &str, ipv4: u8, ipv6: u8) -> Result<CompactString, ProtectError> {
    match text.trim().parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(ipv4)).unwrap_or(0);
            Ok(format_compact!("{}/{ipv4}", std::net::Ipv4Addr::from_bits(address.to_bits() & mask)))
        }
        Ok(IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(ipv6)).unwrap_or(0);
            Ok(format_compact!("{}/{ipv6}", std::net::Ipv6Addr::from_bits(address.to_bits() & mask)))
        }
        Err(_) => Err(ProtectError::cannot("not an IP address")),
    }
}

/// Masks digits and letters, keeps separators. Card numbers of 13 to 20 characters occur, with and
/// without dashes, and many fail Luhn: neither length nor check digit decides whether to mask.
fn digits(text: &str, first_six: bool, last: usize) -> CompactString {
    let total = text.bytes().filter(u8::is_ascii_digit).count();
    let last = if total >= last * 2 { last } else { 0 };
    // PCI SSC FAQ 1091: first six and last four where at least six digits disappear; five for the
    // 15 digits of American Express (34, 37); shorter numbers show the last four only.
    let mut numbers = text.chars().filter(char::is_ascii_digit);
    let american_express = total == 15 && numbers.next() == Some('3') && matches!(numbers.next(), Some('4' | '7'));
    let first = if first_six && (total >= 16 || american_express) { 6 } else { 0 };
    let mut seen = 0;
    text.chars()
        .map(|c| {
            if c.is_ascii_digit() {
                seen += 1;
                if seen <= first || seen > total - last { c } else { '*' }
            } else if c.is_alphanumeric() {
                '*'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::apply;

    fn mask(style: &str, text: &str) -> String {
        apply(&format!("mask: {style}"), &format!("\"{text}\"")).unwrap().trim_matches('"').to_owned()
    }

    #[test]
    fn ends_are_kept_and_never_the_whole() {
        assert_eq!(mask("{first: 1}", "Ñandú"), "Ñ****");
        assert_eq!(mask("{first: 2, last: 2}", "abcdef"), "ab**ef");
        assert_eq!(mask("{first: 2, last: 2}", "abcd"), "****");
        assert_eq!(mask("last4", "123"), "***");
        assert_eq!(mask("{last: 0}", "abc"), "***");
        assert_eq!(mask("{first: 18446744073709551615, last: 2}", "abc"), "***");
        assert_eq!(apply("mask: last4", "1234567").as_deref(), Ok("\"***4567\""));
    }

    #[test]
    fn what_people_see_is_masked_by_its_form() {
        for (json, expected) in [
            ("\"4111-1111-1111-1111\"", "****-****-****-1111"),
            ("4111111111111111", "************1111"),
            ("\"+1-202-555-0199\"", "+*-***-***-**99"),
            ("\"jo@example.com\"", "j***@example.com"),
            ("\"192.0.2.77\"", "192.0.2.0/24"),
            ("\"Smith-Jones\"", "S***"),
            ("\"Kim\"", "***"),
            ("\"123\"", "***"),
            ("7", "***"),
            ("true", "***"),
            ("{\"a\":1}", "***"),
            ("\"\"", "***"),
        ] {
            let wrapped = crate::decode::parse_json_object(format!("{{\"v\":{json}}}").as_bytes(), 9).unwrap();
            assert_eq!(super::for_display(wrapped.get("v").unwrap()).as_str(), Some(expected), "{json}");
        }
        assert!(super::for_display(&super::Value::Null) == super::Value::Null);
    }

    #[test]
    fn styles_keep_what_people_need() {
        assert_eq!(mask("email", "josé.x@example.com"), "j***@example.com");
        assert_eq!(mask("email", "j@example.com"), "***@example.com");
        assert_eq!(mask("email", "no address"), "**********");
        assert_eq!(mask("email", "alice@"), "******");
        assert_eq!(mask("ip", "192.0.2.77"), "192.0.2.0/24");
        assert_eq!(mask("{style: ip, ipv4_prefix: 0}", "192.0.2.77"), "0.0.0.0/0");
        assert_eq!(mask("ip", "2001:db8:1:2::5"), "2001:db8:1::/48");
        assert!(apply("mask: ip", "\"localhost\"").is_err());
        assert_eq!(mask("phone", "+1-202-555-0199"), "+*-***-***-**99");
        assert_eq!(mask("phone", "12"), "**");
    }

    #[test]
    fn card_numbers_show_what_pci_allows() {
        assert_eq!(mask("pan", "6767-2293-4172-5169"), "****-****-****-5169");
        assert_eq!(mask("first6last4", "6767-2293-4172-5169"), "6767-22**-****-5169");
        assert_eq!(mask("first6last4", "378282246310005"), "378282*****0005");
        assert_eq!(mask("first6last4", "123498712412345"), "***********2345");
        assert_eq!(mask("first6last4", "1234987124123"), "*********4123");
        assert_eq!(mask("pan", "1234"), "****");
        assert_eq!(mask("pan", "41x11 1111"), "***** 1111");
    }

    #[test]
    fn options_that_do_not_fit_are_refused() {
        assert!(apply("mask", "\"x\"").unwrap_err().contains("say what stays"));
        assert!(apply("mask: {style: email, first: 1}", "\"x\"").is_err());
        assert!(apply("mask: {style: ip, ipv4_prefix: 33}", "\"x\"").is_err());
        assert!(apply("mask: {style: email, ipv4_prefix: 8}", "\"x\"").is_err());
        assert!(apply("mask: e-mail", "\"x\"").unwrap_err().contains("email"));
    }
}
