//! What Cloakroom finds, line by line, for the scorer in `run.py`.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use cloakroom_core::detect::{Detector, Scratch, Selection};
use serde_json::json;

pub fn write(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let detector = Detector::new(&Selection::default())?;
    let mut out = BufWriter::new(File::create(folder.join("findings-cloakroom.jsonl"))?);
    let (mut scratch, mut found) = (Scratch::default(), Vec::new());
    for (number, line) in BufReader::new(File::open(folder.join("corpus.txt"))?).split(b'\n').enumerate() {
        detector.find(&line?, &[], &mut scratch, &mut found);
        for finding in &found {
            let rule = detector.rule(finding.rule);
            let row = json!({
                "line": number + 1, "start": finding.start, "end": finding.end, "entity": rule.entity, "rule": rule.id,
                "score": finding.confidence, "validated": finding.validated,
            });
            writeln!(out, "{row}")?;
        }
    }
    out.flush()?;
    Ok(())
}
