//! Dates in several formats in, one format out. No clock: "now" comes from the caller.

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

/// Formats by name; anything else is a strftime pattern such as `%d/%m/%Y`.
const NAMED: [(&str, &str); 3] =
    [("iso8601", "%Y-%m-%dT%H:%M:%S%.f%#z"), ("date", "%Y-%m-%d"), ("timestamp", "%Y-%m-%d %H:%M:%S")];

/// One date format, compiled.
pub(crate) struct DateFormat {
    items: Vec<Item<'static>>,
    is_iso: bool,
}

impl DateFormat {
    /// Compiles a format.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        let pattern = NAMED.iter().find(|(name, _)| *name == text).map_or(text, |(_, pattern)| pattern);
        if !pattern.contains('%') {
            let near = crate::error::did_you_mean(text, NAMED.iter().map(|(name, _)| *name));
            return Err(format!("`{text}` is neither iso8601, date or timestamp nor a pattern such as %Y-%m-%d{near}"));
        }
        match StrftimeItems::new(pattern).parse_to_owned() {
            Ok(items) => Ok(Self { items, is_iso: text == "iso8601" }),
            Err(_) => Err(format!("`{text}` is not a date pattern; see strftime, for example %Y-%m-%dT%H:%M:%S")),
        }
    }

    /// Reads a text in this format, in UTC where it names an offset. A format without a time gives midnight.
    pub(crate) fn read(&self, text: &str) -> Option<NaiveDateTime> {
        if self.is_iso {
            return read_iso(text);
        }
        let mut parsed = Parsed::new();
        parse(&mut parsed, text, self.items.iter()).ok()?;
        if parsed.offset().is_some() {
            return Some(parsed.to_datetime().ok()?.naive_utc());
        }
        match parsed.to_naive_datetime_with_offset(0) {
            Ok(moment) => Some(moment),
            // A pattern that has hours must get them; only a pattern of dates alone means midnight.
            Err(_) if parsed.hour_div_12().is_none() && parsed.timestamp().is_none() => {
                parsed.to_naive_date().ok().map(|date| date.and_time(NaiveTime::MIN))
            }
            Err(_) => None,
        }
    }

    /// Writes a moment in this format; `None` when the pattern asks for what is not known.
    pub(crate) fn write(&self, moment: NaiveDateTime) -> Option<String> {
        use std::fmt::Write;
        let mut out = String::new();
        write!(out, "{}", moment.and_utc().format_with_items(self.items.iter())).ok()?;
        Some(out)
    }
}

/// ISO 8601 as systems write it: `2021-07-31T00:11:06.741Z`, with an offset, with a space, without
/// seconds' fraction, or the date alone.
fn read_iso(text: &str) -> Option<NaiveDateTime> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Some(moment.naive_utc());
    }
    let date = |pattern: &str| NaiveDate::parse_from_str(text, pattern).ok().map(|d| d.and_time(NaiveTime::MIN));
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"))
        .ok()
        .or_else(|| date("%Y-%m-%d"))
}

/// True for a date as PostgreSQL and JSON Schema write it: `2024-02-29`.
pub(crate) fn is_iso_date(text: &str) -> bool {
    text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

/// True for a moment in ISO 8601.
pub(crate) fn is_iso_timestamp(text: &str) -> bool {
    text.len() >= 19 && read_iso(text).is_some()
}

/// Days from 1970-01-01 to a date written as `2024-02-29`.
#[must_use]
pub fn days_since_1970(text: &str) -> Option<i32> {
    let date = (text.len() == 10).then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten()?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

/// Microseconds from 1970-01-01T00:00:00Z to a moment in ISO 8601; without an offset it is UTC. `None`
/// also when it is finer than a microsecond, which would be lost.
#[must_use]
pub fn micros_since_1970(text: &str) -> Option<i64> {
    let moment = read_iso(text)?.and_utc();
    (moment.timestamp_subsec_nanos() % 1_000 == 0).then(|| moment.timestamp_micros())
}

/// The moment of ingest, given by whoever runs the cloak.
#[derive(Clone, Copy, Debug)]
pub struct IngestTime(NaiveDateTime);

impl IngestTime {
    /// From seconds since 1970-01-01T00:00:00Z; years beyond 9999 are cut to it.
    #[must_use]
    pub fn from_unix_seconds(seconds: i64) -> Self {
        Self(DateTime::from_timestamp(seconds.clamp(0, 253_402_300_799), 0).unwrap_or_default().naive_utc())
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.and_utc().timestamp()
    }

    /// `2026-11-21`
    pub(crate) fn date(self) -> String {
        self.0.format("%Y-%m-%d").to_string()
    }

    /// So many seconds before.
    #[must_use]
    pub fn minus_seconds(self, seconds: i64) -> Self {
        Self::from_unix_seconds(self.0.and_utc().timestamp().saturating_sub(seconds))
    }

    /// `2026-11-21T08:00:00Z`
    #[must_use]
    pub fn timestamp(self) -> String {
        self.0.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_and_written() {
        let out = DateFormat::compile("%Y-%m-%d %H:%M:%S").unwrap();
        let read =
            |format: &str, text: &str| DateFormat::compile(format).unwrap().read(text).and_then(|m| out.write(m));
        for (format, text, expected) in [
            ("iso8601", "2021-07-31T00:11:06.741Z", Some("2021-07-31 00:11:06")),
            ("iso8601", "2021-07-31T02:11:06+02:00", Some("2021-07-31 00:11:06")),
            ("iso8601", "2021-07-31 00:11:06", Some("2021-07-31 00:11:06")),
            ("iso8601", "2021-07-31", Some("2021-07-31 00:00:00")),
            ("iso8601", "2021-02-30", None),
            ("iso8601", "31/07/2021", None),
            ("%d/%m/%Y", "11/01/2022", Some("2022-01-11 00:00:00")),
            ("%d/%m/%Y", "11/01/2022 10:00", None),
            ("%d/%m/%Y %H:%M", "11/01/2022 10:05", Some("2022-01-11 10:05:00")),
            ("%Y-%m-%dT%H:%M:%S%z", "2021-07-31T02:11:06+0200", Some("2021-07-31 00:11:06")),
            ("timestamp", "2024-02-29 23:59:59", Some("2024-02-29 23:59:59")),
            ("%s", "1700000000", Some("2023-11-14 22:13:20")),
        ] {
            assert_eq!(read(format, text).as_deref(), expected, "{format} {text}");
        }
        assert!(DateFormat::compile("%Q").is_err());
        assert!(DateFormat::compile("iso8610").err().unwrap().contains("iso8601"));
    }

    #[test]
    fn ingest_time_is_utc() {
        let time = IngestTime::from_unix_seconds(1_700_000_000);
        assert_eq!((time.date().as_str(), time.timestamp().as_str()), ("2023-11-14", "2023-11-14T22:13:20Z"));
    }
}
