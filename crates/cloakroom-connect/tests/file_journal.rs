//! The file sink and what it finds when it opens: a damaged journal, a file that was begun under another policy, another
//! run, and what a failed write left behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloakroom_connect::sinks;
use cloakroom_core::policy::RecordConfig;
use cloakroom_core::{Place, Policy, PolicyConfig, RecordId};
use cloakroom_pipeline::context::SinkContext;
use cloakroom_pipeline::contract;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::{Progress, RowOutcome, Sink, SinkBatch};
use tempfile::TempDir;

/// One file of a folder, by a sink with these options and the policy's fields.
struct Target {
    folder: TempDir,
    name: &'static str,
    options: &'static str,
    fields: &'static str,
}

const FIELDS: &str = "{ id: {}, n: {} }";

impl Target {
    fn new(name: &'static str, options: &'static str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), name, options, fields: FIELDS }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn journal(&self) -> PathBuf {
        self.path(&format!("{}.cloakroom", self.name))
    }

    /// What a run of this policy opens.
    async fn open_with(&self, options: &str, fields: &str) -> Result<Box<dyn Sink>, ConnectorError> {
        let yaml = format!("path: '{}'\n{options}\n", self.path(self.name).display());
        let config: sinks::file::Config = serde_saphyr::from_str(&yaml).unwrap();
        let fields = serde_saphyr::from_str(fields).unwrap();
        let record: RecordConfig = serde_saphyr::from_str("unlisted: drop").unwrap();
        let policy = Policy::compile(&PolicyConfig { fields, record, ..PolicyConfig::default() }, None).unwrap();
        let context = SinkContext { pipeline: "test".to_owned(), policy: Arc::new(policy) };
        let mut sink = sinks::file::build(&config, &context).unwrap();
        sink.open().await?;
        Ok(sink)
    }

    async fn open(&self) -> Result<Box<dyn Sink>, ConnectorError> {
        self.open_with(self.options, self.fields).await
    }

    /// A file of the folder as text, unpacked.
    fn text(&self, name: &str) -> String {
        let bytes = fs::read(self.path(name)).unwrap();
        let mut text = String::new();
        match name.rsplit('.').next() {
            Some("gz") => drop(flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap()),
            Some("zst") => text = String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap(),
            _ => text = String::from_utf8(bytes).unwrap(),
        }
        text
    }

    /// Every file of the folder, byte for byte.
    fn everything(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let paths = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        files.sort();
        files
    }

    /// The journal as a version wrote it that knew nothing of layouts.
    fn make_old(&self) {
        let lines = fs::read_to_string(self.journal()).unwrap();
        let without = |line: &str| {
            let mut entry: serde_json::Value = serde_json::from_str(line).unwrap();
            entry.as_object_mut().unwrap().remove("layout");
            format!("{entry}\n")
        };
        fs::write(self.journal(), lines.lines().map(without).collect::<String>()).unwrap();
    }
}

fn append(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

async fn add(sink: &mut dyn Sink, numbers: std::ops::Range<u64>) {
    let record = |number: u64| {
        let id = RecordId { partition: "p".into(), position: Place::Offset { byte: number, number } };
        contract::record(id, &format!("{{\"id\":\"row-{number}\",\"n\":{number}}}"))
    };
    let records: Vec<_> = numbers.clone().map(record).collect();
    let delivered = vec![RowOutcome::Delivered; records.len()];
    let progress = Progress::Position { partition: "p".into(), position: numbers.end.to_string() };
    assert_eq!(sink.write(&SinkBatch { progress, records: Arc::new(records) }).await.unwrap(), delivered);
    sink.commit().await.unwrap();
}

fn error(opened: Result<Box<dyn Sink>, ConnectorError>) -> ConnectorError {
    opened.err().expect("it opened")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_the_journal_that_cannot_be_read_is_an_error_and_nothing_is_cut() {
    for (options, data) in [("", "rows.jsonl"), ("rotate: { records: 100 }", "rows-000001.jsonl.partial")] {
        let target = Target::new("rows.jsonl", options);
        let mut sink = target.open().await.unwrap();
        for numbers in [0..2, 2..4, 4..6] {
            add(sink.as_mut(), numbers).await;
        }
        drop(sink);
        let whole = fs::read(target.journal()).unwrap();
        let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        for (number, damage) in [(1, &b"\0"[..]), (2, b"\xff"), (2, b"{\"length\":1}{"), (3, b"x")] {
            let mut damaged: Vec<Vec<u8>> = lines.iter().map(|line| line.to_vec()).collect();
            damaged[number - 1][..damage.len()].copy_from_slice(damage);
            fs::write(target.journal(), damaged.concat()).unwrap();
            let before = target.everything();
            let error = error(target.open().await);
            assert_eq!(error.kind, ErrorKind::Corrupt, "{error}");
            assert!(error.message.contains(&format!("rows.jsonl.cloakroom: line {number} ")), "{error}");
            assert!(error.message.contains("name another `path`"), "{error}");
            assert!(target.everything() == before, "line {number} was damaged, and something was changed");
        }
        // What was being written when the program died has no end, whatever it is.
        for torn in [&b"{\"length\":1"[..], b"\0\0\0", b"\xff"] {
            fs::write(target.journal(), &whole).unwrap();
            append(&target.journal(), torn);
            let mut sink = target.open().await.unwrap();
            assert_eq!(sink.position("p").await.unwrap().as_deref(), Some("6"));
        }
        assert_eq!(target.text(data).lines().count(), 6);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_begun_under_another_policy_gets_no_row_of_this_one() {
    let others = [
        ("format: csv", "{ id: {}, m: {}, n: {} }"),
        ("format: csv", "{ n: {}, id: {} }"),
        ("format: csv", "{ id: {} }"),
        ("format: json_lines", FIELDS),
    ];
    for name in ["rows.csv", "rows.csv.gz", "rows.csv.zst"] {
        for is_old in [false, true] {
            let target = Target::new(name, "format: csv");
            let mut sink = target.open().await.unwrap();
            add(sink.as_mut(), 0..3).await;
            sink.close().await.unwrap();
            if is_old {
                target.make_old();
            }
            let before = target.everything();
            // Without a layout in the journal, a CSV says by itself what it is. Lines of JSON do not.
            for (options, fields) in others.iter().filter(|(options, _)| !is_old || options.contains("csv")) {
                let error = error(target.open_with(options, fields).await);
                assert_eq!(error.kind, ErrorKind::Configuration, "{name} {options} {fields}: {error}");
                assert!(error.message.contains("name another `path`"), "{error}");
                assert!(target.everything() == before, "{name} {options} {fields}");
            }
            // The policy as it was goes on.
            let mut sink = target.open().await.unwrap();
            add(sink.as_mut(), 3..5).await;
            sink.close().await.unwrap();
            assert_eq!(target.text(name), "id,n\nrow-0,0\nrow-1,1\nrow-2,2\nrow-3,3\nrow-4,4\n");
            let noted = fs::read_to_string(target.journal()).unwrap();
            assert_eq!(noted.matches("\"layout\":{\"csv\":[\"id\",\"n\"]}").count(), 1, "{noted}");
        }
    }
    // Nothing was written yet: whatever the policy is now.
    let target = Target::new("rows.csv", "format: csv");
    let mut sink = target.open().await.unwrap();
    add(sink.as_mut(), 0..0).await;
    drop(sink);
    let mut sink = target.open_with("format: csv", "{ n: {}, id: {} }").await.unwrap();
    add(sink.as_mut(), 0..1).await;
    sink.close().await.unwrap();
    assert_eq!(target.text("rows.csv"), "n,id\n0,row-0\n");
    assert_eq!(error(target.open().await).kind, ErrorKind::Configuration);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_was_begun_under_another_policy_ends_and_the_next_one_begins() {
    for (name, before, after, first, second) in [
        (
            "rows.csv",
            ("format: csv", FIELDS),
            ("format: csv", "{ n: {}, m: {}, id: {} }"),
            "id,n\nrow-0,0\n",
            "n,m,id\n1,,row-1\n",
        ),
        (
            "rows.txt",
            ("format: json_array", FIELDS),
            ("format: json_lines", FIELDS),
            "[\n{\"id\":\"row-0\",\"n\":0}\n]\n",
            "{\"id\":\"row-1\",\"n\":1}\n",
        ),
    ] {
        for is_old in [false, true] {
            let options = |format: &str| format!("{format}\nrotate: {{ records: 100 }}");
            let target = Target::new(name, "");
            let mut sink = target.open_with(&options(before.0), before.1).await.unwrap();
            add(sink.as_mut(), 0..1).await;
            drop(sink);
            if is_old {
                target.make_old();
            }
            let mut sink = target.open_with(&options(after.0), after.1).await.unwrap();
            let (stem, ending) = name.split_once('.').unwrap();
            let [one, two] = [1, 2].map(|number| format!("{stem}-00000{number}.{ending}"));
            // An old journal does not say how an array is to be ended.
            if !is_old || ending == "csv" {
                assert_eq!(target.text(&one), first);
            }
            add(sink.as_mut(), 1..2).await;
            sink.close().await.unwrap();
            assert_eq!(target.text(&two), second);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_do_not_write_one_file_that_is_replaced() {
    for options in ["replace: true", "replace: true\nformat: parquet"] {
        let target = Target::new("rows", options);
        // What a run that was killed left behind.
        fs::write(target.path("rows.partial"), "x".repeat(1_000)).unwrap();
        let mut first = target.open().await.unwrap();
        add(first.as_mut(), 0..3).await;
        let second = error(target.open().await);
        assert_eq!(second.kind, ErrorKind::Conflict, "{second}");
        assert!(second.message.contains("another run"), "{second}");
        add(first.as_mut(), 3..5).await;
        first.close().await.unwrap();
        let whole = target.everything();
        assert_eq!(whole.len(), 1, "the file, and nothing beside it");
        if !options.contains("parquet") {
            let rows: Vec<String> = (0..5).map(|n| format!("{{\"id\":\"row-{n}\",\"n\":{n}}}\n")).collect();
            assert_eq!(target.text("rows"), rows.concat());
        }
        // One after the other: the second one's file is not there before its end, and not at all when it fails.
        drop(first);
        let mut second = target.open().await.unwrap();
        add(second.as_mut(), 0..1).await;
        drop(second);
        assert!(target.everything() == whole);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_write_left_behind_the_end_is_cut_off() {
    for (options, name) in
        [("", "rows"), ("format: json_array", "rows"), ("replace: true\nformat: json_array", "rows.partial")]
    {
        let target = Target::new("rows", options);
        let mut sink = target.open().await.unwrap();
        add(sink.as_mut(), 0..2).await;
        let half = format!("{{\"id\":\"{}", "half a batch ".repeat(100));
        append(&target.path(name), half.as_bytes());
        // A shorter batch in its place.
        add(sink.as_mut(), 2..3).await;
        assert!(!target.text(name).contains("half"), "{options}");
        append(&target.path(name), half.as_bytes());
        // And a stop.
        sink.close().await.unwrap();
        let rows: Vec<String> = (0..3).map(|n| format!("{{\"id\":\"row-{n}\",\"n\":{n}}}")).collect();
        let expected = match options {
            "" => format!("{}\n", rows.join("\n")),
            _ => format!("[\n{}\n]\n", rows.join(",\n")),
        };
        assert_eq!(target.text("rows"), expected, "{options}");
    }
}

#[tokio::test]
async fn a_file_that_was_appended_to_and_then_replaced_is_not_cut() {
    let target = Target::new("out.jsonl", "");
    let mut sink = target.open().await.unwrap();
    add(&mut *sink, 0..1).await;
    sink.close().await.unwrap();
    let mut sink = target.open_with("replace: true", FIELDS).await.unwrap();
    add(&mut *sink, 0..100).await;
    sink.close().await.unwrap();
    let replaced = target.text("out.jsonl");
    assert_eq!(replaced.lines().count(), 100);
    assert_eq!(error(target.open().await).kind, ErrorKind::Configuration, "it has no journal any more");
    assert_eq!(target.text("out.jsonl"), replaced);
}

#[tokio::test]
async fn the_journal_of_files_in_parts_is_not_lost_to_one_that_is_replaced() {
    let target = Target::new("out.jsonl", "rotate: { records: 10 }");
    let mut sink = target.open().await.unwrap();
    add(&mut *sink, 0..5).await;
    sink.close().await.unwrap();
    let before = target.everything();
    assert_eq!(error(target.open_with("replace: true", FIELDS).await).kind, ErrorKind::Configuration);
    assert!(target.everything() == before);
}
