//! What SQLite does to a value depends on the column's type: it may turn `00123` into 123 and
//! 9007199254740993 into a neighbouring double without a word. Here every value is either bound so that
//! it stays what it is, or refused.
//!
//! <https://www.sqlite.org/datatype3.html#type_affinity>, <https://www.sqlite.org/stricttables.html>

use cloakroom_core::encode::to_json_string;
use cloakroom_core::{Number, Value};
use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};

/// What a column does to numbers and to texts that look like numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Affinity {
    /// Keeps everything as it is: `ANY` of a STRICT table, `BLOB`, a column without type.
    Keep,
    /// Makes numbers texts.
    Text,
    /// Takes whole numbers only: `INTEGER` of a STRICT table.
    Whole,
    /// Makes texts that look like numbers numbers, and whole doubles integers.
    Numeric,
    /// Makes every number a double.
    Real,
}

impl Affinity {
    /// The affinity of a declared type.
    pub(super) fn of(declared: &str, strict: bool) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |part: &str| declared.contains(part);
        if strict && declared == "ANY" || declared.is_empty() {
            Self::Keep
        } else if has("INT") {
            if strict { Self::Whole } else { Self::Numeric }
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Self::Text
        } else if has("BLOB") {
            Self::Keep
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Self::Real
        } else {
            Self::Numeric
        }
    }
}

/// The value as it is bound, or `None` when a column of that affinity would change it.
pub(super) fn bind(value: &Value, affinity: Affinity) -> Option<ToSqlOutput<'_>> {
    Some(match value {
        Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
        Value::Bool(value) => ToSqlOutput::Borrowed(ValueRef::Integer(i64::from(*value))),
        Value::Number(number) => return bind_number(number, affinity),
        Value::String(text) => return bind_text(text, affinity),
        Value::Array(_) | Value::Object(_) => ToSqlOutput::Owned(Owned::Text(to_json_string(value))),
    })
}

fn bind_number(number: &Number, affinity: Affinity) -> Option<ToSqlOutput<'_>> {
    let integer = |integer| ToSqlOutput::Borrowed(ValueRef::Integer(integer));
    let real = |real| ToSqlOutput::Borrowed(ValueRef::Real(real));
    match affinity {
        Affinity::Keep => Some(match (number.as_i64(), number.as_exact_f64()) {
            (Some(whole), _) => integer(whole),
            (None, Some(double)) => real(double),
            (None, None) => text(number.as_str()),
        }),
        Affinity::Text => Some(text(number.as_str())),
        Affinity::Whole => whole(number).map(integer),
        // A whole number goes as an integer: as a double, SQLite would make it the integer that the
        // double is, which beyond 2^53 may have other digits.
        Affinity::Numeric => whole(number).map(integer).or_else(|| number.as_exact_f64().map(real)),
        Affinity::Real => number.as_exact_f64().map(real),
    }
}

/// A text in a column of numbers: SQLite would make a number of it. It may, when the text is written as
/// JSON writes that number, and the number stays the same; `00123`, `+1` and ` 7` are not numbers to us.
fn bind_text(content: &str, affinity: Affinity) -> Option<ToSqlOutput<'_>> {
    let is_kept = matches!(affinity, Affinity::Keep | Affinity::Text) || !looks_numeric(content);
    if is_kept {
        return Some(text(content));
    }
    // What is bound must not borrow from the number made here.
    Some(match bind_number(&Number::parse(content)?, affinity)? {
        ToSqlOutput::Borrowed(ValueRef::Integer(integer)) => ToSqlOutput::Borrowed(ValueRef::Integer(integer)),
        ToSqlOutput::Borrowed(ValueRef::Real(real)) => ToSqlOutput::Borrowed(ValueRef::Real(real)),
        _ => return None,
    })
}

fn text(content: &str) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(content.as_bytes()))
}

/// True for at least all texts that SQLite converts. Rust's grammar for doubles holds SQLite's, and
/// infinities besides, which have no digit.
fn looks_numeric(content: &str) -> bool {
    let trimmed = content.trim();
    trimmed.bytes().any(|byte| byte.is_ascii_digit()) && trimmed.parse::<f64>().is_ok()
}

/// A whole number that SQLite's integers hold, however it is written: `1e3`, `2.0`.
fn whole(number: &Number) -> Option<i64> {
    if let Some(integer) = number.as_i64() {
        return Some(integer);
    }
    let decimal = number.decimal()?;
    let zeros = decimal.point - i64::try_from(decimal.digits.len()).ok()?;
    if zeros < 0 || decimal.point > 19 {
        return None;
    }
    let digits = decimal.digits.iter().copied().chain((0..zeros).map(|_| 0));
    let magnitude = digits.fold(0_i128, |sum, digit| sum * 10 + i128::from(digit));
    i64::try_from(if decimal.negative { -magnitude } else { magnitude }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_found_however_they_are_written() {
        let whole = |text: &str| whole(&Number::parse(text).unwrap());
        assert_eq!(whole("-0"), Some(0));
        assert_eq!(whole("-0.0e9"), Some(0));
        assert_eq!(whole("1e3"), Some(1000));
        assert_eq!(whole("-2.50e1"), Some(-25));
        assert_eq!(whole("9.223372036854775807e18"), Some(i64::MAX));
        assert_eq!(whole("-9223372036854775808.0"), Some(i64::MIN));
        for none in ["9223372036854775808.0", "1e19", "1e400", "0.1", "25e-1"] {
            assert_eq!(whole(none), None, "{none}");
        }
    }

    #[test]
    fn declared_types_have_the_affinity_that_sqlite_gives_them() {
        for (declared, expected) in [
            ("INTEGER", Affinity::Numeric),
            ("VARCHAR(10)", Affinity::Text),
            ("DOUBLE PRECISION", Affinity::Real),
            ("FLOATING POINT", Affinity::Numeric),
            ("ANY", Affinity::Numeric),
            ("STRING", Affinity::Numeric),
            ("DECIMAL(10,2)", Affinity::Numeric),
            ("", Affinity::Keep),
            ("blob", Affinity::Keep),
        ] {
            // "FLOATING POINT" holds "INT", SQLite's own example of a surprise.
            assert_eq!(Affinity::of(declared, false), expected, "{declared}");
        }
        assert_eq!(Affinity::of("ANY", true), Affinity::Keep);
        assert_eq!(Affinity::of("INT", true), Affinity::Whole);
        assert_eq!(Affinity::of("REAL", true), Affinity::Real);
    }
}
