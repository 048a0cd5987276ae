//! What people and programs read: everything that goes to standard output and error passes here.

use std::io::{self, IsTerminal, Write};

use cloakroom_pipeline::Summary;
use serde::Serialize;

use crate::error::Failure;

/// A line to standard output. A reader that has gone away is no error.
pub(crate) fn line(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// A line to standard error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// An error to standard error.
pub(crate) fn error(text: &str) {
    note(&format!("{} {text}", styled(io::stderr().is_terminal(), "1;31", "error:")));
}

/// A line about what should not be.
pub(crate) fn alarm(text: &str) -> String {
    format!("{} {text}", styled(io::stdout().is_terminal(), "1;31", "ALARM"))
}

/// One JSON document to standard output.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text =
        serde_json::to_string_pretty(value).map_err(|_| Failure::new(3, "the result cannot be written as JSON"))?;
    line(&text);
    Ok(())
}

/// A text in a style, such as `1;31`; as it is where colours are not wanted.
pub(crate) fn styled(on: bool, style: &str, text: &str) -> String {
    if on && may_colour() { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// Nobody has asked for none (<https://no-color.org>).
pub(crate) fn may_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none()
}

/// Bold on a terminal.
pub(crate) fn bold(text: &str) -> String {
    styled(io::stdout().is_terminal(), "1", text)
}

/// Rows with aligned columns.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|name| name.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let format = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect::<Vec<_>>();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![format(header.to_vec())];
    lines.extend(rows.iter().map(|row| format(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

/// A number with separators: 1,234,567.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A run's summary for people.
pub(crate) fn summary(summary: &Summary) -> String {
    let how = match summary.end {
        cloakroom_pipeline::summary::End::Complete => "complete",
        cloakroom_pipeline::summary::End::Stopped => "stopped",
    };
    let mut text = format!(
        "{}: {how} in {:.2} s, {} records/s\n",
        bold(&summary.pipeline),
        summary.seconds,
        grouped(summary.rate() as u64)
    );
    let mut count = |name: &str, number: u64, more: String| {
        text.push_str(format!("  {name:<10} {:>12}  {more}", grouped(number)).trim_end());
        text.push('\n');
    };
    let list = |counts: &std::collections::BTreeMap<String, u64>| {
        counts.iter().map(|(name, number)| format!("{name}: {}", grouped(*number))).collect::<Vec<_>>().join(", ")
    };
    count("received", summary.received, String::new());
    count("delivered", summary.delivered, String::new());
    for (name, number) in
        [("duplicate", summary.duplicate), ("filtered", summary.filtered), ("returned", summary.returned)]
    {
        if number > 0 {
            count(name, number, String::new());
        }
    }
    count("dead", summary.dead, list(&summary.dead_by_reason));
    if !summary.findings.is_empty() {
        count("findings", summary.findings.values().sum(), list(&summary.findings));
    }
    if let Some(metrics) = summary.metrics.as_ref().filter(|metrics| metrics.failures > 0 || metrics.lost > 0) {
        text.push_str(&format!("  metrics    {metrics}\n"));
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn tables_are_aligned() {
        let rows = vec![vec!["é".to_owned(), "x".to_owned()], vec!["long".to_owned(), "y".to_owned()]];
        assert_eq!(table(&["a", "b"], &rows), "a     b\né     x\nlong  y");
    }
}
