//! `bucket`: a number's range or a date's period instead of the value itself.

use chrono::{Datelike, NaiveDate};
use compact_str::{CompactString, format_compact};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Applied, BuildContext, Entry, FieldContext, ProtectError, Protection, options, schema_of};
use crate::value::{Number, Value};

pub(super) const ENTRY: Entry = Entry {
    name: "bucket",
    doc: "Replaces a number by its range (30-39) or a date by its period (2024-02).",
    main_option: Some("by"),
    example: "bucket: month",
    build,
    schema: schema_of::<Options>,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// A width (10), a list of lower limits ([0, 18, 65]), or year, quarter, month, week.
    by: By,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum By {
    /// Ranges of this width.
    Width(i64),
    /// Ranges between these limits.
    Limits(Vec<i64>),
    /// A period.
    Period(Period),
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Period {
    Year,
    Quarter,
    Month,
    Week,
}

fn build(given: serde_json::Value, _: &BuildContext<'_>) -> Result<Box<dyn Protection>, String> {
    let Options { by } = options(given).map_err(|_: String| {
        "say by what: a width (10), limits ([0, 18, 65]), or year, quarter, month, week".to_owned()
    })?;
    match &by {
        By::Width(width) if *width < 1 => Err("the width must be at least 1".to_owned()),
        By::Limits(limits) if limits.is_empty() || !limits.is_sorted_by(|a, b| a < b) => {
            Err("the limits must rise, for example [0, 18, 65]".to_owned())
        }
        _ => Ok(Box::new(Bucket { by })),
    }
}

struct Bucket {
    by: By,
}

impl Protection for Bucket {
    fn protect(&self, value: Value, _: &FieldContext<'_>) -> Result<Applied, ProtectError> {
        let text = match (&self.by, &value) {
            (_, Value::Null) => return Ok(Applied::Value(Value::Null)),
            (By::Period(period), Value::String(text)) => period.of(text)?,
            (By::Width(width), value) => {
                let number = whole(value)?;
                let low = number.div_euclid(*width).checked_mul(*width);
                range(low, low.and_then(|low| low.checked_add(*width)))?
            }
            (By::Limits(limits), value) => {
                let number = whole(value)?;
                let above = limits.partition_point(|limit| *limit <= number);
                match (above.checked_sub(1).map(|below| limits[below]), limits.get(above)) {
                    (None, Some(first)) => format_compact!("<{first}"),
                    (Some(low), None) => format_compact!("{low}+"),
                    (low, high) => range(low, high.copied())?,
                }
            }
            (By::Period(_), _) => return Err(ProtectError::cannot("a date was expected")),
        };
        Ok(Applied::Value(Value::String(text)))
    }
}

/// A number (or a number's text) rounded down to a whole one.
fn whole(value: &Value) -> Result<i64, ProtectError> {
    let expected = || ProtectError::cannot("a number was expected");
    let number = match value {
        Value::Number(number) => number.clone(),
        Value::String(text) => Number::parse(text.trim()).ok_or_else(expected)?,
        _ => return Err(expected()),
    };
    if let Some(whole) = number.as_i64() {
        return Ok(whole);
    }
    let float: f64 = number.as_str().parse().map_err(|_| expected())?;
    let floor = float.floor();
    if floor.abs() < 9e15 { Ok(floor as i64) } else { Err(ProtectError::cannot("the number is out of range")) }
}

/// `30-39`, or `-10 to -1` where a minus sign would make it hard to read.
fn range(low: Option<i64>, end: Option<i64>) -> Result<CompactString, ProtectError> {
    let (Some(low), Some(end)) = (low, end) else { return Err(ProtectError::cannot("the number is out of range")) };
    let high = end - 1;
    Ok(match (low < 0, low == high) {
        (_, true) => format_compact!("{low}"),
        (true, _) => format_compact!("{low} to {high}"),
        (false, _) => format_compact!("{low}-{high}"),
    })
}

impl Period {
    fn of(self, text: &str) -> Result<CompactString, ProtectError> {
        let date = text.get(..10).and_then(|date| NaiveDate::parse_from_str(date, "%Y-%m-%d").ok());
        let date = date.ok_or_else(|| {
            ProtectError::cannot("not a date like 2024-02-29; add `date:` to the field to normalise it first")
        })?;
        Ok(match self {
            Self::Year => format_compact!("{:04}", date.year()),
            Self::Quarter => format_compact!("{:04}-Q{}", date.year(), date.month0() / 3 + 1),
            Self::Month => format_compact!("{:04}-{:02}", date.year(), date.month()),
            // ISO 8601 weeks, whose year can differ from the calendar's around new year.
            Self::Week => format_compact!("{:04}-W{:02}", date.iso_week().year(), date.iso_week().week()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::apply;

    #[test]
    fn numbers_fall_into_ranges() {
        for (by, value, expected) in [
            ("10", "37", "\"30-39\""),
            ("10", "\"37\"", "\"30-39\""),
            ("10", "39.9", "\"30-39\""),
            ("10", "-3", "\"-10 to -1\""),
            ("1", "5", "\"5\""),
            ("[0, 18, 65]", "17", "\"0-17\""),
            ("[0, 18, 65]", "18", "\"18-64\""),
            ("[0, 18, 65]", "65", "\"65+\""),
            ("[0, 18, 65]", "-1", "\"<0\""),
            ("10", "null", "null"),
        ] {
            assert_eq!(apply(&format!("bucket: {by}"), value).as_deref(), Ok(expected), "{by} {value}");
        }
        for (by, value) in [("10", "\"x\""), ("10", "9223372036854775807"), ("10", "1e400"), ("10", "true")] {
            assert!(apply(&format!("bucket: {by}"), value).is_err(), "{by} {value}");
        }
        assert!(apply("bucket: 0", "1").unwrap_err().contains("at least 1"));
        assert!(apply("bucket: [5, 5]", "1").unwrap_err().contains("must rise"));
        assert!(apply("bucket: decade", "1").unwrap_err().contains("quarter"));
    }

    #[test]
    fn dates_fall_into_periods() {
        for (by, expected) in [("year", "2024"), ("quarter", "2024-Q4"), ("month", "2024-12"), ("week", "2025-W01")] {
            let bucket = apply(&format!("bucket: {by}"), "\"2024-12-30 10:00:00\"").unwrap();
            assert_eq!(bucket, format!("\"{expected}\""));
        }
        assert!(apply("bucket: year", "\"é234567890\"").is_err());
    }
}
