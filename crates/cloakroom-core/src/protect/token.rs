//! `token`: a token in a value's place, from which whoever has the keys gets the value back. `random`, `uuid` and
//! `random-digits` are drawn at random and kept in a [vault](vaulted); this is `digits`.
//!
//! `token: digits`: another number in a number's place, of the same length and with the same separators, by
//! format-preserving encryption (FF1). Nothing is kept; equal numbers in one field give equal tokens.
//!
//! # What a token is made of
//!
//! The key is that of the domain (`ck1/fpe/<domain>`). The tweak is four items, each a 16-bit big-endian length and its
//! bytes: domain, path of the field in the protected record, digits kept in front, digits kept at the end. The digits
//! between them are encrypted as one number.
//!
//! A JSON number comes back as a JSON number, so it must not begin with a zero: FF1 is applied again until it does not
//! (cycle walking), and the other way round when it is decrypted. That leaves nine tenths of all numbers, so a JSON
//! number of which no beginning is kept needs seven digits to have a million of them.

mod vaulted;

use std::sync::Arc;

use cloakroom_crypto::ff1::{MAX_DIGITS, MIN_DIGITS, Tweaked};
use cloakroom_crypto::{CryptoError, FormatKey};
use compact_str::CompactString;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Applied, BuildContext, Entry, FieldContext, OnProtected, ProtectError, Protection, key_error, options, schema_of,
};
use crate::value::{Number, Value};
use vaulted::Shape;

pub(super) const ENTRY: Entry = Entry {
    name: "token",
    doc: "A token that the value can be got back from: a number of the same length (`digits`, FF1), or `random`, which is \
          kept in a vault.",
    main_option: Some("format"),
    example: "token: { format: digits, keep: { first: 6, last: 4 } }",
    build,
    schema: schema_of::<Options>,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// What tokens look like.
    format: Format,
    /// Which key it is: tokens of one domain are equal for equal values, with `digits` within one field.
    #[serde(default = "default_domain")]
    domain: String,
    /// With `digits`: those that stay, where at least six are left between them; otherwise all are replaced.
    #[serde(default)]
    keep: Keep,
    /// What is done to a value that is a ck1 envelope or token already.
    #[serde(default)]
    on_protected: OnProtected,
}

fn default_domain() -> String {
    "default".to_owned()
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Format {
    /// 6 to 36 digits for as many digits; spaces and `- . / ( ) + _` between them stay. Nothing is stored.
    Digits,
    /// `tok_` and 26 random characters of a-z and 2-7, kept in the vault.
    Random,
    /// A random UUID (version 4), kept in the vault.
    Uuid,
    /// 7 to 36 random digits for as many digits, kept in the vault: never the same number, never one with a valid Luhn check
    /// digit.
    RandomDigits,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Keep {
    /// Digits that stay in front.
    first: u8,
    /// Digits that stay at the end.
    last: u8,
}

/// What may stand between digits and stays.
const SEPARATORS: &[u8] = b" -./()+_";

fn build(given: serde_json::Value, context: &BuildContext<'_>) -> Result<Box<dyn Protection>, String> {
    let Options { format, domain, keep, on_protected } = options(given)?;
    let shape = match format {
        Format::Digits => None,
        Format::Random => Some(Shape::Text),
        Format::Uuid => Some(Shape::Uuid),
        Format::RandomDigits => Some(Shape::Digits),
    };
    if let Some(shape) = shape {
        if keep != Keep::default() {
            return Err("`keep` belongs to `format: digits`".to_owned());
        }
        return vaulted::build(shape, domain, on_protected, context);
    }
    let key = context.keys()?.format_key(&domain).map_err(|error| error.to_string())?;
    let keep = (usize::from(keep.first), usize::from(keep.last));
    if keep.0 + keep.1 > MAX_DIGITS - MIN_DIGITS {
        return Err(format!(
            "`keep` leaves nothing to replace: `first` and `last` are at most {} together",
            MAX_DIGITS - MIN_DIGITS
        ));
    }
    Ok(Box::new(Digits { key, domain, keep, on_protected }))
}

struct Digits {
    key: Arc<FormatKey>,
    domain: String,
    keep: (usize, usize),
    on_protected: OnProtected,
}

impl Protection for Digits {
    fn protect(&self, value: Value, context: &FieldContext<'_>) -> Result<Applied, ProtectError> {
        if self.on_protected.passes(&value)? {
            return Ok(Applied::Value(value));
        }
        self.apply(&value, context, |tweaked, digits| tweaked.encrypt(digits)).map(Applied::Value)
    }

    /// A token carries no tag: any number of the right length gives some number.
    fn reveal(&self, value: &Value, context: &FieldContext<'_>) -> Result<Option<Value>, CryptoError> {
        Ok(self.apply(value, context, |tweaked, digits| tweaked.decrypt(digits)).ok())
    }

    fn has_tokens(&self) -> bool {
        true
    }
}

/// One step of FF1, forth or back.
type Step = fn(&Tweaked<'_>, &mut [u8]) -> Result<(), CryptoError>;

impl Digits {
    /// A value's number by another one.
    fn apply(&self, value: &Value, context: &FieldContext<'_>, step: Step) -> Result<Value, ProtectError> {
        let result = match value {
            Value::Null => Value::Null,
            Value::String(text) => Value::String(self.replace(text, context, false, step)?),
            Value::Number(number) if number.as_str().bytes().all(|byte| byte.is_ascii_digit()) => {
                let token = self.replace(number.as_str(), context, true, step)?;
                Number::parse(&token).map(Value::Number).ok_or_else(|| ProtectError::cannot("not a number any more"))?
            }
            Value::Number(_) => {
                return Err(ProtectError::cannot("`token: digits` takes whole numbers without sign or exponent"));
            }
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                return Err(ProtectError::cannot("`token: digits` takes numbers, and texts of digits"));
            }
        };
        Ok(result)
    }

    /// Replaces the digits of a text. Nothing of it is on the heap but the result.
    fn replace(
        &self,
        text: &str,
        context: &FieldContext<'_>,
        is_number: bool,
        step: Step,
    ) -> Result<CompactString, ProtectError> {
        let mut digits = [0; MAX_DIGITS];
        let mut count = 0;
        for byte in text.bytes() {
            if byte.is_ascii_digit() {
                *digits.get_mut(count).ok_or_else(length_error)? = byte;
                count += 1;
            } else if !SEPARATORS.contains(&byte) {
                return Err(ProtectError::cannot(
                    "`token: digits` takes digits with spaces and `- . / ( ) + _` between them, nothing else",
                ));
            }
        }
        let (first, last) = self.keep;
        let (first, last) = if first + last + MIN_DIGITS <= count { (first, last) } else { (0, 0) };
        // A number without its zeros in front has a tenth fewer possible values.
        let walks = is_number && first == 0;
        if count < MIN_DIGITS + usize::from(walks) {
            return Err(length_error());
        }
        let digits = &mut digits[..count];
        let (front, rest) = digits.split_at_mut(first);
        let (middle, back) = rest.split_at_mut(count - first - last);
        let tweak = tweak([self.domain.as_bytes(), context.path.as_bytes(), front, back])?;
        let tweaked = self.key.tweaked(middle.len(), &tweak).map_err(key_error)?;
        loop {
            step(&tweaked, middle).map_err(key_error)?;
            if !walks || middle.first() != Some(&b'0') {
                break;
            }
        }
        let mut replaced = digits.iter().map(|digit| char::from(*digit));
        Ok(text.chars().map(|c| if c.is_ascii_digit() { replaced.next().unwrap_or(c) } else { c }).collect())
    }
}

/// The items, each after its length.
fn tweak(items: [&[u8]; 4]) -> Result<Vec<u8>, ProtectError> {
    let mut tweak = Vec::with_capacity(items.iter().map(|item| item.len() + 2).sum());
    for item in items {
        let len = u16::try_from(item.len()).map_err(|_| ProtectError::cannot("the path of the field is too long"))?;
        tweak.extend_from_slice(&len.to_be_bytes());
        tweak.extend_from_slice(item);
    }
    Ok(tweak)
}

fn length_error() -> ProtectError {
    ProtectError::cannot(
        "`token: digits` takes 6 to 36 digits, of a JSON number at least 7; shorter ones could be found by trying all: \
         take `hmac`, `encrypt` or `mask`",
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{CONTEXT, apply, apply_in};
    use super::*;
    use cloakroom_crypto::keyring_from_env_value;
    use proptest::prelude::*;

    fn token(yaml: &str, text: &str) -> Result<String, String> {
        apply(yaml, &format!("\"{text}\"")).map(|token| token.trim_matches('"').to_owned())
    }

    /// The number that a token stands for, as the module's documentation says.
    fn original(token: &str, first: usize, last: usize, is_number: bool) -> String {
        let ring = keyring_from_env_value(&"0123456789abcdef".repeat(4)).unwrap();
        let key = ring.format_key("default").unwrap();
        let mut digits: Vec<u8> = token.bytes().filter(u8::is_ascii_digit).collect();
        let end = digits.len() - last;
        let mut tweak = b"\0\x07default\0\x05field".to_vec();
        for kept in [&digits[..first], &digits[end..]] {
            tweak.extend([0, kept.len() as u8]);
            tweak.extend(kept);
        }
        loop {
            key.decrypt(&tweak, &mut digits[first..end]).unwrap();
            if !is_number || digits[0] != b'0' {
                return String::from_utf8(digits).unwrap();
            }
        }
    }

    #[test]
    fn length_and_separators_stay() {
        let one = token("token: digits", "4111 1111-1111.1111").unwrap();
        assert_eq!(one.len(), 19);
        assert_eq!((&one[4..5], &one[9..10], &one[14..15]), (" ", "-", "."));
        assert_eq!(token("token: { format: digits }", "4111 1111-1111.1111").unwrap(), one, "equal for equal numbers");
        assert_eq!(original(&one, 0, 0, false), "4111111111111111");
        assert_eq!(token("token: digits", "+34 (600) 123-456").unwrap().len(), 17);
        let elsewhere = FieldContext { path: "other", ..CONTEXT };
        assert_ne!(apply_in(&elsewhere, "token: digits", "\"4111 1111-1111.1111\"").unwrap().trim_matches('"'), one);
        assert_ne!(token("token: { format: digits, domain: d }", "4111 1111-1111.1111").unwrap(), one);
        assert_eq!(apply("token: digits", "null").as_deref(), Ok("null"));
    }

    #[test]
    fn kept_digits_stay_where_six_are_left() {
        let yaml = "token: { format: digits, keep: { first: 6, last: 4 } }";
        let one = token(yaml, "4111-1122-2233-3344").unwrap();
        assert!(one.starts_with("4111-11") && one.ends_with("-3344") && one != "4111-1122-2233-3344", "{one}");
        assert_eq!(original(&one, 6, 4, false), "4111112222333344");
        // Two numbers that differ only in what is kept: the middle says nothing about the other.
        let other = token(yaml, "4111-1122-2233-3345").unwrap();
        assert_ne!(one[7..14], other[7..14]);
        let amex = token(yaml, "378282246310005").unwrap();
        assert_eq!(original(&amex, 0, 0, false), "378282246310005", "five would be left: all are replaced");
        assert!(token("token: { format: digits, keep: { first: 30, last: 4 } }", "1").unwrap_err().contains("`keep`"));
    }

    #[test]
    fn numbers_stay_numbers() {
        for number in ["1234567", "4111111111111111", "99999999999999999999"] {
            let one = apply("token: digits", number).unwrap();
            assert!(one.len() == number.len() && one != number && !one.starts_with(['0', '"']), "{one}");
            assert_eq!(original(&one, 0, 0, true), number);
        }
        let kept = apply("token: { format: digits, keep: { first: 1 } }", "4111111").unwrap();
        assert!(kept.starts_with('4') && original(&kept, 1, 0, false) == "4111111");
        assert_ne!(apply("token: digits", "\"0001234\"").unwrap().len(), 4, "a text may begin with zeros");
    }

    #[test]
    fn what_is_no_number_of_that_length_is_refused() {
        for json in ["\"12345\"", "12345", "123456", "\"\"", "\"1234-5\"", &format!("\"{}\"", "1".repeat(37))] {
            assert!(apply("token: digits", json).unwrap_err().contains("6 to 36 digits"), "{json}");
        }
        for (json, expected) in [
            ("\"ES12345678\"", "nothing else"),
            ("\"123456٣\"", "nothing else"),
            ("-1234567", "whole numbers"),
            ("1234567.0", "whole numbers"),
            ("1e9", "whole numbers"),
            ("true", "takes numbers"),
            ("[1234567]", "takes numbers"),
        ] {
            assert!(apply("token: digits", json).unwrap_err().contains(expected), "{json}");
        }
        assert!(apply("token", "1234567").unwrap_err().contains("format"));
        assert!(apply("token: randon", "1234567").unwrap_err().contains("digits"));
    }

    proptest! {
        #[test]
        fn every_token_comes_back(text in "[0-9]([ .-]?[0-9]){5,35}", first in 0..8_usize, last in 0..6_usize) {
            let yaml = format!("token: {{ format: digits, keep: {{ first: {first}, last: {last} }} }}");
            let one = token(&yaml, &text).unwrap();
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            let (first, last) = if digits.len() >= first + last + 6 { (first, last) } else { (0, 0) };
            prop_assert_eq!(original(&one, first, last, false), digits);
            let shape = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "9");
            prop_assert_eq!(shape(&one), shape(&text));
        }
    }
}
