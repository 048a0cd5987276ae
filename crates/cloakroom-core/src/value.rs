//! A record's content: JSON's six kinds, with numbers kept as the text they arrived in.
//!
//! `Value` has neither `Debug` nor `Serialize` on purpose: a raw value must not reach a log line, a
//! panic message or an error by accident. The one way to text is [`crate::encode::write_json`], which
//! sinks call on protected records.

use compact_str::CompactString;

/// One JSON value.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as written. See [`Number`].
    Number(Number),
    /// A string.
    String(CompactString),
    /// An array.
    Array(Vec<Value>),
    /// An object.
    Object(Object),
}

impl Value {
    /// The name of this kind of value as a policy writes it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// The text of a string, or `None`.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The members of an object, or `None`.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// A string value.
    pub fn string(text: impl AsRef<str>) -> Self {
        Self::String(CompactString::new(text))
    }
}

/// A JSON number (RFC 8259 section 6), kept as its text.
///
/// Binary floating point would change `0.10`, `12345678901234567890` or `1e400`; the text does not.
/// Whoever needs a machine number asks for one and is refused where it would differ.
#[derive(Clone, PartialEq)]
pub struct Number(CompactString);

impl Number {
    /// Takes text that is known to be a JSON number; the decoder has checked it.
    pub(crate) fn from_checked(text: &str) -> Self {
        Self(CompactString::new(text))
    }

    /// Reads a JSON number, or `None` when the text is not exactly one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_json_number(text.as_bytes()).then(|| Self(CompactString::new(text)))
    }

    /// The digits as they arrived.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number as `i64`, only when it was written as an integer in that range.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// True when it is written without fraction and exponent.
    #[must_use]
    pub fn is_integer(&self) -> bool {
        !self.0.bytes().any(|b| matches!(b, b'.' | b'e' | b'E'))
    }

    /// The number as `f64`, only when the double's shortest text names the same decimal number, so
    /// that writing it back changes no digit. `None` for `1e400` and for 20-digit integers.
    #[must_use]
    pub fn as_exact_f64(&self) -> Option<f64> {
        let double: f64 = self.0.parse().ok()?;
        if !double.is_finite() {
            return None;
        }
        let shortest = format!("{double:e}");
        Decimal::parse(&self.0)?.equals(&Decimal::parse(&shortest)?).then_some(double)
    }

    /// Sign, significant digits and exponent of the number.
    #[must_use]
    pub fn decimal(&self) -> Option<Decimal> {
        Decimal::parse(&self.0)
    }
}

impl From<i64> for Number {
    fn from(number: i64) -> Self {
        Self(compact_str::format_compact!("{number}"))
    }
}

/// A decimal number taken apart: `±0.d₁d₂d₃… × 10^point`, without leading or trailing zero digits.
pub struct Decimal {
    /// True for numbers below zero; minus zero counts as zero.
    pub negative: bool,
    /// Significant digits, 0 to 9; empty for zero.
    pub digits: Vec<u8>,
    /// Where the decimal point stands: after this many digits (may be negative or past the end).
    pub point: i64,
    /// Digits after the point as it was written, so that `1.50` can keep its scale.
    pub scale: u32,
}

impl Decimal {
    /// The same number, however many zeros it was written with.
    fn equals(&self, other: &Self) -> bool {
        self.negative == other.negative && self.digits == other.digits && self.point == other.point
    }

    /// Takes the text of a JSON number apart; `None` when the exponent is absurdly large.
    fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b.wrapping_sub(b'0')).collect();
        let mut point = whole.len() as i64 + i64::from(exponent);
        let scale = (fraction.len() as i64 - i64::from(exponent)).max(0);
        let leading = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..leading);
        point -= leading as i64;
        while digits.last() == Some(&0) {
            digits.pop();
        }
        if digits.is_empty() {
            point = 0;
        }
        let negative = negative && !digits.is_empty();
        Some(Self { negative, digits, point, scale: u32::try_from(scale).ok()? })
    }
}

/// RFC 8259: `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
fn is_json_number(text: &[u8]) -> bool {
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    let digits = |bytes: &[u8]| bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent);
        let count = digits(exponent);
        return count > 0 && count == exponent.len();
    }
    rest.is_empty()
}

/// The members of an object, in the order in which they arrived, without duplicates.
#[derive(Clone, Default, PartialEq)]
pub struct Object {
    members: Vec<(CompactString, Value)>,
}

impl Object {
    /// An empty object with room for `capacity` members.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { members: Vec::with_capacity(capacity) }
    }

    /// The member of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// All members in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.members.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The member at a place, from 0.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<(&str, &Value)> {
        self.members.get(index).map(|(key, value)| (key.as_str(), value))
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Appends a member. The caller has made sure that the name is new.
    pub fn push(&mut self, name: CompactString, value: Value) {
        self.members.push((name, value));
    }

    pub(crate) fn members_mut(&mut self) -> &mut Vec<(CompactString, Value)> {
        &mut self.members
    }

    pub(crate) fn into_members(self) -> Vec<(CompactString, Value)> {
        self.members
    }

    /// True when two members share a name. Quadratic for the small objects that records are, hashed
    /// beyond 16 members so that a hostile record of a million keys stays linear.
    #[must_use]
    pub fn has_duplicate(&self) -> bool {
        if self.members.len() <= 16 {
            return self
                .members
                .iter()
                .enumerate()
                .any(|(index, (name, _))| self.members[..index].iter().any(|(earlier, _)| earlier == name));
        }
        let mut seen = std::collections::HashSet::with_capacity(self.members.len());
        !self.members.iter().all(|(name, _)| seen.insert(name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_grammar() {
        for good in ["0", "-0", "7", "10", "1.5", "1e9", "1E+9", "-1.25e-3", "123456789012345678901234567890"] {
            assert!(Number::parse(good).is_some(), "{good}");
        }
        for bad in ["", "-", "01", "1.", ".5", "1e", "1e+", "+1", "0x1", "NaN", "1 ", "1_0"] {
            assert!(Number::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn doubles_are_given_only_when_no_digit_changes() {
        let double = |text: &str| Number::parse(text).unwrap().as_exact_f64();
        assert_eq!(double("0.1"), Some(0.1));
        assert_eq!(double("1.50"), Some(1.5));
        assert_eq!(double("-2e3"), Some(-2000.0));
        assert_eq!(double("0.0"), Some(0.0));
        assert_eq!(double("1e400"), None);
        assert_eq!(double("0.1000000000000000055511151231257827"), None);
        assert_eq!(double("12345678901234567890"), None);
        assert_eq!(double("9007199254740993"), None);
    }

    #[test]
    fn duplicates_are_seen_in_small_and_large_objects() {
        for size in [3_usize, 40] {
            let mut object = Object::default();
            for index in 0..size {
                object.push(compact_str::format_compact!("k{index}"), Value::Null);
            }
            assert!(!object.has_duplicate());
            object.push("k1".into(), Value::Null);
            assert!(object.has_duplicate());
        }
    }
}
