//! How findings are written, for people and as JSON lines. SARIF stands in its own file.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use serde_json::json;

use super::hit::Hit;
use super::sarif::Sarif;
use crate::args::ScanFormat;
use crate::output::styled;

/// Takes findings in their order.
pub(super) trait Report {
    fn finding(&mut self, path: &str, hit: &Hit<'_>) -> io::Result<()>;
    /// After the last one; `complete` when everything could be read.
    fn finish(&mut self, complete: bool) -> io::Result<()>;
}

pub(super) fn new(format: ScanFormat) -> Box<dyn Report> {
    let out = BufWriter::with_capacity(64 * 1024, io::stdout());
    match format {
        ScanFormat::Human => Box::new(Human { out, terminal: io::stdout().is_terminal() }),
        ScanFormat::Jsonl => Box::new(Jsonl { out }),
        ScanFormat::Sarif => Box::new(Sarif::new(out)),
    }
}

/// A path that cannot steer a terminal.
pub(super) fn printable(path: &str) -> String {
    path.chars().map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter }).collect()
}

struct Human {
    out: BufWriter<Stdout>,
    terminal: bool,
}

impl Report for Human {
    fn finding(&mut self, path: &str, hit: &Hit<'_>) -> io::Result<()> {
        let style = |style: &str, text: &str| styled(self.terminal, style, text);
        let place = format!("{}:{}:{}", style("35", &printable(path)), hit.start.line, hit.start.column);
        let checked = if hit.validated { " validated" } else { "" };
        let how = style("2", &format!("{} {:.2}{checked}", hit.rule.id, hit.confidence));
        let entity = style("1", &hit.rule.entity);
        let excerpt = hit.excerpt.as_ref().map_or_else(String::new, |excerpt| {
            format!("  {}{}{}", excerpt.before, style("31", &excerpt.value), excerpt.after)
        });
        writeln!(self.out, "{place}: {entity} {how}{excerpt}")?;
        // Somebody is watching.
        if self.terminal { self.out.flush() } else { Ok(()) }
    }

    fn finish(&mut self, _complete: bool) -> io::Result<()> {
        self.out.flush()
    }
}

struct Jsonl {
    out: BufWriter<Stdout>,
}

impl Report for Jsonl {
    fn finding(&mut self, path: &str, hit: &Hit<'_>) -> io::Result<()> {
        let line = json!({
            "path": path,
            "entity": hit.rule.entity,
            "rule": hit.rule.id,
            "line": hit.start.line,
            "column": hit.start.column,
            "start": hit.bytes.start,
            "end": hit.bytes.end,
            "start_character": hit.start.character,
            "end_character": hit.end.character,
            "start_utf16": hit.start.utf16,
            "end_utf16": hit.end.utf16,
            "confidence": hit.confidence,
            "validated": hit.validated,
            "fingerprint": hit.fingerprint,
        });
        serde_json::to_writer(&mut self.out, &line)?;
        self.out.write_all(b"\n")
    }

    fn finish(&mut self, _complete: bool) -> io::Result<()> {
        self.out.flush()
    }
}
