//! `date_shift`: moves a person's dates by a secret number of days, the same for all of that person's
//! dates, so that the time between them stays true.

use std::sync::Arc;

use chrono::{Days, NaiveDate};
use cloakroom_crypto::PseudonymKey;
use compact_str::format_compact;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Applied, BuildContext, Entry, FieldContext, ProtectError, Protection, map_text, options, schema_of};
use crate::value::Value;

pub(super) const ENTRY: Entry = Entry {
    name: "date_shift",
    doc: "Moves a date (2024-02-29, with or without a time) by 1 to `days` days, back or forth, the same for one subject.",
    main_option: Some("days"),
    example: "date_shift: 30",
    build,
    schema: schema_of::<Options>,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The most days by which a date is moved, 1 to 36500.
    days: u32,
}

fn build(given: serde_json::Value, context: &BuildContext<'_>) -> Result<Box<dyn Protection>, String> {
    let Options { days } = options(given)?;
    if !(1..=36_500).contains(&days) {
        return Err("`days` must be 1 to 36500".to_owned());
    }
    if !context.has_subject {
        return Err("one person's dates move together, so the policy must say who: add `subject: <field>` to the file"
            .to_owned());
    }
    let key = context.keys()?.pseudonym_key("date_shift").map_err(|error| error.to_string())?;
    Ok(Box::new(DateShift { days, key }))
}

struct DateShift {
    days: u32,
    key: Arc<PseudonymKey>,
}

impl Protection for DateShift {
    fn protect(&self, value: Value, context: &FieldContext<'_>) -> Result<Applied, ProtectError> {
        map_text(value, |text| {
            let (date, rest) = split_date(text).ok_or_else(|| {
                ProtectError::cannot("not a date like 2024-02-29; add `date:` to the field to normalise it first")
            })?;
            let tag = self.key.tag(context.subject.as_bytes());
            let number = tag[..8].iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            let distance = Days::new(number % u64::from(self.days) + 1);
            let moved = if tag[8] & 1 == 0 { date.checked_add_days(distance) } else { date.checked_sub_days(distance) };
            let moved = moved.ok_or_else(|| ProtectError::cannot("the moved date is out of range"))?;
            Ok(format_compact!("{}{rest}", moved.format("%Y-%m-%d")))
        })
    }
}

/// `2024-02-29` and whatever time follows it.
fn split_date(text: &str) -> Option<(NaiveDate, &str)> {
    let (date, rest) = text.split_at_checked(10)?;
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    (rest.is_empty() || rest.starts_with(['T', ' '])).then_some((date, rest))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{CONTEXT, apply, apply_in};
    use super::*;

    #[test]
    fn one_persons_dates_move_together() {
        let shift = |json: &str| apply("date_shift: 30", json).unwrap();
        let day = |json: &str| NaiveDate::parse_from_str(&shift(json)[1..11], "%Y-%m-%d").unwrap();
        let (first, second) = (day("\"2024-01-31\""), day("\"2024-03-01T10:00:00Z\""));
        assert_eq!((second - first).num_days(), 30);
        assert!(shift("\"2024-03-01T10:00:00Z\"").ends_with("T10:00:00Z\""));
        let moved = (first - NaiveDate::from_ymd_opt(2024, 1, 31).unwrap()).num_days().abs();
        assert!((1..=30).contains(&moved));
        let other = |n: u32| {
            apply_in(&FieldContext { subject: &format!("p{n}"), ..CONTEXT }, "date_shift: 300", "\"2024-01-31\"")
                .unwrap()
        };
        assert!((0..20).any(|n| other(n) != other(n + 1)));
        assert!(apply("date_shift: 30", "\"31/01/2024\"").unwrap_err().contains("protection failed"));
        assert!(apply("date_shift: 0", "\"\"").unwrap_err().contains("1 to 36500"));
    }
}
