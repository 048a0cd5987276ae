//! SARIF 2.1.0, written as findings come: results first, then the rules that they name.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Stdout, Write};

use serde_json::{Value, json};

use super::hit::Hit;
use super::report::Report;

const HEAD: &str = concat!(
    r#"{"$schema":"https://json.schemastore.org/sarif-2.1.0.json","version":"2.1.0","runs":[{"columnKind":"unicodeCodePoints","results":["#,
    "\n"
);

pub(super) struct Sarif {
    out: BufWriter<Stdout>,
    begun: bool,
    results: u64,
    /// Rules in the order of their first results, and their places in that order.
    rules: Vec<Value>,
    index: HashMap<String, usize>,
}

impl Sarif {
    pub(super) fn new(out: BufWriter<Stdout>) -> Self {
        Self { out, begun: false, results: 0, rules: Vec::new(), index: HashMap::new() }
    }

    fn begin(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.begun, true) {
            self.out.write_all(HEAD.as_bytes())?;
        }
        Ok(())
    }

    fn rule_index(&mut self, hit: &Hit<'_>) -> usize {
        let rule = hit.rule;
        if let Some(index) = self.index.get(rule.id.as_ref()) {
            return *index;
        }
        let mut description = json!({
            "id": rule.id,
            "name": rule.entity,
            "shortDescription": { "text": rule.description },
            "fullDescription": { "text": format!("{}. Reported as {}.", rule.description.trim_end_matches('.'), rule.entity) },
            "defaultConfiguration": { "level": level(f64::from(rule.confidence.max(rule.with_context))) },
            "properties": { "tags": ["security", "sensitive-data"] },
        });
        if let (Some(uri), Some(object)) =
            (rule.references.iter().find(|uri| uri.starts_with("https://")), description.as_object_mut())
        {
            object.insert("helpUri".to_owned(), uri.as_ref().into());
        }
        self.rules.push(description);
        self.index.insert(rule.id.to_string(), self.rules.len() - 1);
        self.rules.len() - 1
    }
}

impl Report for Sarif {
    fn finding(&mut self, path: &str, hit: &Hit<'_>) -> io::Result<()> {
        self.begin()?;
        let index = self.rule_index(hit);
        let mut result = json!({
            "ruleId": hit.rule.id,
            "ruleIndex": index,
            "level": level(hit.confidence),
            "rank": (hit.confidence * 1000.0).round() / 10.0,
            "message": { "text": format!("{}: {}", hit.rule.entity, hit.rule.description) },
            "locations": [{
                "physicalLocation": {
                    "artifactLocation": { "uri": uri(path) },
                    "region": {
                        "startLine": hit.start.line,
                        "startColumn": hit.start.column,
                        "endLine": hit.end.line,
                        "endColumn": hit.end.column,
                        "charOffset": hit.start.character,
                        "charLength": hit.end.character - hit.start.character,
                        "byteOffset": hit.bytes.start,
                        "byteLength": hit.bytes.end - hit.bytes.start,
                    },
                },
            }],
            "properties": { "entity": hit.rule.entity, "confidence": hit.confidence, "validated": hit.validated },
        });
        if let (Some(fingerprint), Some(object)) = (&hit.fingerprint, result.as_object_mut()) {
            object.insert("partialFingerprints".to_owned(), json!({ "cloakroom/v1": fingerprint }));
        }
        if self.results > 0 {
            self.out.write_all(b",\n")?;
        }
        self.results += 1;
        serde_json::to_writer(&mut self.out, &result)?;
        Ok(())
    }

    fn finish(&mut self, complete: bool) -> io::Result<()> {
        self.begin()?;
        let driver = json!({
            "name": "Cloakroom",
            "version": env!("CARGO_PKG_VERSION"),
            "semanticVersion": env!("CARGO_PKG_VERSION"),
            "rules": std::mem::take(&mut self.rules),
        });
        let tool = json!({ "driver": driver });
        let invocations = json!([{ "executionSuccessful": complete }]);
        write!(self.out, "\n],\"tool\":{tool},\"invocations\":{invocations}}}]}}\n")?;
        self.out.flush()
    }
}

fn level(confidence: f64) -> &'static str {
    match confidence {
        0.8.. => "error",
        0.5..0.8 => "warning",
        _ => "note",
    }
}

/// A path as a URI: relative as it is, an absolute one with its scheme.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len() + 8);
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(byte as char),
            // A String takes all.
            _ => drop(write!(uri, "%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("a b/ü.txt"), "a%20b/%C3%BC.txt");
        assert_eq!(uri("/tmp/a#b"), "file:///tmp/a%23b");
        assert_eq!(uri("<stdin>"), "%3Cstdin%3E");
        assert_eq!(uri("c:d"), "c%3Ad");
    }
}
