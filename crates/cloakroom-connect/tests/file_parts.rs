//! The file sink with `rotate`: parts that appear when they are complete, whatever happens between.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_connect::sinks;
use cloakroom_core::policy::RecordConfig;
use cloakroom_core::{Place, Policy, PolicyConfig, RecordId};
use cloakroom_pipeline::context::SinkContext;
use cloakroom_pipeline::contract::{self, SinkUnderTest};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::{Progress, RowOutcome, Sink, SinkBatch};

struct Files {
    folder: PathBuf,
    /// Name and options of the sink.
    name: &'static str,
    options: String,
}

impl Files {
    fn new(folder: &Path, name: &'static str, options: &str) -> Self {
        Self { folder: folder.to_owned(), name, options: options.to_owned() }
    }

    fn build(&self) -> Result<Box<dyn Sink>, ConnectorError> {
        let yaml = format!("path: '{}'\n{}\n", self.folder.join(self.name).display(), self.options);
        let config: sinks::file::Config = serde_saphyr::from_str(&yaml).unwrap();
        let fields = serde_saphyr::from_str("{ id: {}, n: {} }").unwrap();
        let record: RecordConfig = serde_saphyr::from_str("unlisted: drop").unwrap();
        let policy = Policy::compile(&PolicyConfig { fields, record, ..PolicyConfig::default() }, None).unwrap();
        sinks::file::build(&config, &SinkContext { pipeline: "test".to_owned(), policy: Arc::new(policy) })
    }

    async fn opened(&self) -> Box<dyn Sink> {
        let mut sink = self.build().unwrap();
        sink.open().await.unwrap();
        sink
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.ends_with(".cloakroom")).collect();
        names.sort();
        names
    }

    fn content(&self, name: &str) -> String {
        let bytes = fs::read(self.folder.join(name)).unwrap();
        let mut text = String::new();
        match name.trim_end_matches(".partial").rsplit('.').next() {
            Some("gz") => {
                drop(std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(&bytes[..]), &mut text))
            }
            Some("zst") if !bytes.is_empty() => {
                text = String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap()
            }
            Some("zst") => {}
            _ => text = String::from_utf8(bytes).unwrap(),
        }
        text
    }

    fn complete(&self) -> Vec<String> {
        self.names().iter().filter(|name| !name.ends_with(".partial")).map(|name| self.content(name)).collect()
    }

    fn rows(&self) -> usize {
        self.names().iter().map(|name| self.content(name).matches("row-").count()).sum()
    }
}

#[async_trait]
impl SinkUnderTest for Files {
    async fn make(&self) -> Box<dyn Sink> {
        self.build().unwrap()
    }
    async fn count(&self) -> usize {
        self.rows()
    }
    fn bad(&self) -> Option<String> {
        match self.options.contains("csv") {
            true => Some("{\"id\":\"row-bad\",\"other\":1}".to_owned()),
            false => None,
        }
    }
}

fn batch(numbers: std::ops::Range<u64>) -> SinkBatch {
    let progress = Progress::Position { partition: "p".into(), position: numbers.end.to_string() };
    let record = |number: u64| {
        let id = RecordId { partition: "p".into(), position: Place::Offset { byte: number, number } };
        contract::record(id, &format!("{{\"id\":\"row-{number}\",\"n\":{number}}}"))
    };
    SinkBatch { progress, records: Arc::new(numbers.map(record).collect()) }
}

async fn add(sink: &mut dyn Sink, numbers: std::ops::Range<u64>) {
    let count = usize::try_from(numbers.end - numbers.start).unwrap();
    assert_eq!(sink.write(&batch(numbers)).await.unwrap(), vec![RowOutcome::Delivered; count]);
    sink.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_keeps_the_contract_of_sinks() {
    for (format, name) in [
        ("json_lines", "rows.jsonl"),
        ("json_lines", "rows.jsonl.gz"),
        ("json_array", "rows.json"),
        ("json_array", "rows.json.zst"),
        ("csv", "rows.csv"),
        ("csv", "rows.csv.gz"),
        ("key_value", "rows"),
    ] {
        for limit in ["records: 15", "records: 3", "bytes: 200", "records: 1000", "seconds: 1, bytes: 1000"] {
            let folder = tempfile::tempdir().unwrap();
            let files = Files::new(folder.path(), name, &format!("format: {format}\nrotate: {{ {limit} }}"));
            contract::sink(&files).await;
            let parts = files.complete();
            assert_eq!(parts.len(), files.names().len(), "{:?}", files.names());
            for part in &parts {
                match format {
                    "json_array" => drop(serde_json::from_str::<Vec<serde_json::Value>>(part).unwrap()),
                    "csv" => assert!(part.starts_with("id,n\n") && part.matches("id,n").count() == 1, "{part}"),
                    "json_lines" => assert!(part.lines().all(|line| line.starts_with('{') && line.ends_with('}'))),
                    _ => assert!(part.starts_with("id=row-"), "{part}"),
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_holds_no_more_than_its_limit_and_appears_when_it_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path(), "rows.jsonl", "rotate: { records: 25 }");
    let mut sink = files.opened().await;
    add(sink.as_mut(), 0..10).await;
    add(sink.as_mut(), 10..20).await;
    assert_eq!(files.names(), ["rows-000001.jsonl.partial"]);
    add(sink.as_mut(), 20..30).await;
    assert_eq!(files.names(), ["rows-000001.jsonl", "rows-000002.jsonl.partial"]);
    // Reached to the record: complete at once.
    add(sink.as_mut(), 30..45).await;
    assert_eq!(files.names(), ["rows-000001.jsonl", "rows-000002.jsonl"]);
    // A batch that is too large for any part is one.
    add(sink.as_mut(), 45..145).await;
    add(sink.as_mut(), 145..146).await;
    // One of which all was refused, or known, makes no part.
    sink.write(&batch(146..146)).await.unwrap();
    sink.commit().await.unwrap();
    sink.close().await.unwrap();
    let lines: Vec<usize> = files.complete().iter().map(|part| part.lines().count()).collect();
    assert_eq!(lines, [20, 25, 100, 1]);
    // Another run goes on with the next number; one that gets nothing leaves nothing.
    files.opened().await.close().await.unwrap();
    let mut sink = files.opened().await;
    assert_eq!(sink.position("p").await.unwrap().as_deref(), Some("146"));
    add(sink.as_mut(), 146..150).await;
    sink.close().await.unwrap();
    assert_eq!(files.names().last().unwrap(), "rows-000005.jsonl");
    assert_eq!((files.names().len(), files.rows()), (5, 150));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_part_is_completed_while_nothing_comes() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path(), "rows.json", "format: json_array\nrotate: { seconds: 1 }");
    let mut sink = files.opened().await;
    add(sink.as_mut(), 0..10).await;
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while files.names() != ["rows-000001.json"] {
        assert!(std::time::Instant::now() < until, "{:?}", files.names());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    add(sink.as_mut(), 10..11).await;
    // What was encoded to stand behind other records stays with them.
    sink.write(&batch(11..12)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    assert!(files.names().contains(&"rows-000002.json.partial".to_owned()), "{:?}", files.names());
    sink.commit().await.unwrap();
    sink.close().await.unwrap();
    let counts: Vec<usize> = files
        .complete()
        .iter()
        .map(|part| serde_json::from_str::<Vec<serde_json::Value>>(part).unwrap().len())
        .collect();
    assert_eq!(counts, [10, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_died_while_it_completed_a_part_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path(), "rows.json", "format: json_array\nrotate: { records: 10 }");
    let (partial, name) = (folder.path().join("rows-000001.json.partial"), folder.path().join("rows-000001.json"));
    let mut sink = files.opened().await;
    add(sink.as_mut(), 0..5).await;
    drop(sink);
    // Before the journal says so: an end, or half of a batch, was written.
    let mut bytes = fs::read(&partial).unwrap();
    bytes.extend_from_slice(b"\n]\n");
    fs::write(&partial, &bytes).unwrap();
    let mut sink = files.opened().await;
    add(sink.as_mut(), 5..10).await;
    drop(sink);
    let whole = fs::read(&name).unwrap();
    assert_eq!(serde_json::from_slice::<Vec<serde_json::Value>>(&whole).unwrap().len(), 10);
    // After the journal says so, before the name: also with a broken end.
    for cut in [0, 2] {
        fs::rename(&name, &partial).unwrap();
        fs::write(&partial, &whole[..whole.len() - cut]).unwrap();
        files.opened().await.close().await.unwrap();
        assert_eq!(fs::read(&name).unwrap(), whole);
    }
    // Who takes complete parts away disturbs nothing.
    fs::remove_file(&name).unwrap();
    let mut sink = files.opened().await;
    assert_eq!(sink.position("p").await.unwrap().as_deref(), Some("10"));
    add(sink.as_mut(), 10..12).await;
    sink.close().await.unwrap();
    assert_eq!(files.names(), ["rows-000002.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_others_are_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let parts = Files::new(folder.path(), "rows.jsonl", "rotate: { records: 10 }");
    let one = Files::new(folder.path(), "rows.jsonl", "");
    let refused = async |files: &Files| {
        let error = files.build().unwrap().open().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
        error.message
    };
    fs::write(folder.path().join("rows-000001.jsonl"), "precious\n").unwrap();
    assert!(refused(&parts).await.contains("not made by this pipeline"));
    fs::remove_file(folder.path().join("rows-000001.jsonl")).unwrap();
    let mut sink = parts.opened().await;
    add(sink.as_mut(), 0..5).await;
    let second = parts.build().unwrap().open().await.unwrap_err();
    assert_eq!(second.kind, ErrorKind::Conflict, "{second}");
    // A name that is taken meanwhile stops the run, and loses nothing.
    fs::write(folder.path().join("rows-000001.jsonl"), "precious\n").unwrap();
    assert_eq!(sink.close().await.unwrap_err().kind, ErrorKind::Configuration);
    drop(sink);
    fs::remove_file(folder.path().join("rows-000001.jsonl")).unwrap();
    parts.opened().await.close().await.unwrap();
    assert_eq!(parts.rows(), 5);
    assert!(refused(&one).await.contains("in parts"));
    // The other way round.
    fs::remove_file(folder.path().join("rows-000001.jsonl")).unwrap();
    fs::remove_file(folder.path().join("rows.jsonl.cloakroom")).unwrap();
    let mut sink = one.opened().await;
    add(sink.as_mut(), 0..5).await;
    sink.close().await.unwrap();
    assert!(refused(&parts).await.contains("in one piece"));
    // And what cannot be.
    for (name, options) in [
        ("-", "rotate: { records: 1 }"),
        ("x", "rotate: {}"),
        ("x", "rotate: { bytes: 0 }"),
        ("x", "replace: true\nrotate: { records: 1 }"),
    ] {
        let mut files = Files::new(folder.path(), "x", options);
        if name == "-" {
            files.folder = PathBuf::new();
            files.name = "-";
        }
        assert_eq!(files.build().err().unwrap().kind, ErrorKind::Configuration, "{name} {options}");
    }
}
