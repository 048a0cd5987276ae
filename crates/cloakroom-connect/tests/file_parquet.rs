//! The file sink with Parquet: what is written is read back by the source, also after a run that died while it turned a
//! part into Parquet.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_connect::{sinks, sources};
use cloakroom_core::policy::RecordConfig;
use cloakroom_core::{Format, Payload, Place, Policy, PolicyConfig, RecordErrorKind, RecordId};
use cloakroom_pipeline::config::{BatchConfig, Template};
use cloakroom_pipeline::context::{SinkContext, SourceContext};
use cloakroom_pipeline::contract::{self, MemoryLedger, SinkUnderTest, drain};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::retry::RetryConfig;
use cloakroom_pipeline::{Progress, RowOutcome, Sink, SinkBatch};
use parquet::file::reader::{FileReader, SerializedFileReader};

const FIELDS: &str = "{ id: { type: string, required: true, nullable: false }, n: { type: integer }, x: { type: number }, \
                      yes: { type: boolean }, day: { type: date }, at: { type: timestamp }, more: {}, list: { type: array } }";

struct Files {
    folder: PathBuf,
    options: &'static str,
    fields: &'static str,
}

impl Files {
    fn new(folder: &Path, options: &'static str) -> Self {
        Self { folder: folder.to_owned(), options, fields: FIELDS }
    }

    fn build(&self) -> Result<Box<dyn Sink>, ConnectorError> {
        let path = self.folder.join("rows.parquet");
        let yaml = format!("path: '{}'\nformat: parquet\n{}\n", path.display(), self.options);
        let config: sinks::file::Config = serde_saphyr::from_str(&yaml).unwrap();
        sinks::file::build(&config, &context(self.fields, Format::Json))
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.ends_with(".cloakroom")).collect();
        names.sort();
        names
    }

    /// The rows of one file as the source reads them.
    async fn read(&self, name: &str) -> Vec<String> {
        let config = sources::file::Config { path: Template::literal(&self.folder.join(name).display().to_string()) };
        let ring = cloakroom_crypto::keyring_from_env_value(&"0123456789abcdef".repeat(4)).unwrap();
        let context = SourceContext {
            pipeline: "test".to_owned(),
            policy: context("{}", Format::Parquet).policy,
            batch: BatchConfig { records: 1000, bytes: 1 << 20, wait_ms: 0 },
            retry: RetryConfig::default(),
            fingerprint: Arc::new(ring.fingerprint_key("test").unwrap()),
            once: true,
        };
        let mut source = sources::file::build(&config, &context).unwrap();
        source.open(&mut MemoryLedger::default()).await.unwrap();
        let batches = drain(source.as_mut(), &mut MemoryLedger::default()).await;
        let payloads = batches.into_iter().flat_map(|batch| batch.deliveries).map(|delivery| delivery.payload);
        let text = |payload| match payload {
            Payload::Json(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            _ => panic!("another kind"),
        };
        payloads.map(text).collect()
    }
}

fn context(fields: &str, format: Format) -> SinkContext {
    let record: RecordConfig = serde_saphyr::from_str("unlisted: drop").unwrap();
    let record = RecordConfig { format, ..record };
    let fields = serde_saphyr::from_str(fields).unwrap();
    let policy = Policy::compile(&PolicyConfig { fields, record, ..PolicyConfig::default() }, None).unwrap();
    SinkContext { pipeline: "test".to_owned(), policy: Arc::new(policy) }
}

#[async_trait]
impl SinkUnderTest for Files {
    async fn make(&self) -> Box<dyn Sink> {
        self.build().unwrap()
    }

    async fn count(&self) -> usize {
        let count = |name: &String| {
            let bytes = fs::read(self.folder.join(name)).unwrap();
            match bytes.starts_with(b"PAR1") {
                true => {
                    let reader = SerializedFileReader::new(File::open(self.folder.join(name)).unwrap()).unwrap();
                    usize::try_from(reader.metadata().file_metadata().num_rows()).unwrap()
                }
                false => String::from_utf8(bytes).unwrap().lines().count(),
            }
        };
        self.names().iter().map(count).sum()
    }

    fn bad(&self) -> Option<String> {
        Some("{\"id\":\"row\",\"n\":99999999999999999999}".to_owned())
    }
}

fn batch(lines: &[String], position: &str) -> SinkBatch {
    let record = |(number, line): (usize, &String)| {
        let place = Place::Offset { byte: number as u64, number: number as u64 };
        contract::record(RecordId { partition: "p".into(), position: place }, line)
    };
    let progress = Progress::Position { partition: "p".into(), position: position.to_owned() };
    SinkBatch { progress, records: Arc::new(lines.iter().enumerate().map(record).collect()) }
}

async fn put(sink: &mut dyn Sink, lines: &[String], position: &str) {
    let outcomes = sink.write(&batch(lines, position)).await.unwrap();
    assert_eq!(outcomes, vec![RowOutcome::Delivered; lines.len()]);
    sink.commit().await.unwrap();
}

fn line(number: usize) -> String {
    match number % 3 {
        0 => format!(
            "{{\"id\":\"é{number}\",\"n\":{number},\"x\":0.5,\"yes\":true,\"day\":\"1969-12-31\",\
             \"at\":\"2024-02-29T12:00:00Z\",\"more\":\"m\",\"list\":\"[1,\\\"a\\\"]\"}}"
        ),
        1 => format!(
            "{{\"id\":\"{number}\",\"n\":-9223372036854775808,\"x\":-1234.0625,\"yes\":false,\"day\":\"2024-02-29\",\
             \"at\":null,\"more\":\"\",\"list\":null}}"
        ),
        _ => r#"{"id":"","n":null,"x":null,"yes":null,"day":null,"at":null,"more":null,"list":null}"#.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_keeps_the_contract_of_sinks() {
    for options in ["rotate: { records: 15 }", "rotate: { records: 1000 }", "rotate: { bytes: 200 }", "replace: true"] {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), options);
        match options {
            // Nothing is there before the end.
            "replace: true" => {
                let mut sink = files.build().unwrap();
                sink.open().await.unwrap();
                put(sink.as_mut(), &[line(0), line(1)], "1").await;
                assert_eq!(files.names(), ["rows.parquet.partial"]);
                sink.close().await.unwrap();
                assert_eq!(files.read("rows.parquet").await, [line(0), line(1)]);
            }
            _ => contract::sink(&files).await,
        }
        assert!(files.names().iter().all(|name| name.ends_with(".parquet")), "{options}: {:?}", files.names());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path(), "rotate: { records: 1000000 }");
    let mut sink = files.build().unwrap();
    sink.open().await.unwrap();
    // More than one row group.
    let lines: Vec<String> = (0..60_000).map(line).collect();
    put(sink.as_mut(), &lines[..59_000], "1").await;
    put(sink.as_mut(), &lines[59_000..], "2").await;
    sink.close().await.unwrap();
    let read = files.read("rows-000001.parquet").await;
    assert_eq!(read.len(), lines.len());
    for (read, line) in read.iter().zip(&lines) {
        assert_eq!(read, line);
    }
    let reader = SerializedFileReader::new(File::open(folder.path().join("rows-000001.parquet")).unwrap()).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), 2);

    let nested = ["{\"id\":\"a\",\"list\":[1,{\"b\":null}],\"more\":1.50}".to_owned(), "{\"id\":\"b\"}".to_owned()];
    let mut sink = files.build().unwrap();
    sink.open().await.unwrap();
    put(sink.as_mut(), &nested, "3").await;
    sink.close().await.unwrap();
    let read = files.read("rows-000002.parquet").await;
    assert!(
        read[0].contains("\"list\":\"[1,{\\\"b\\\":null}]\"") && read[0].contains("\"more\":\"1.50\""),
        "{}",
        read[0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_column_would_change_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path(), "rotate: { records: 10 }");
    let mut sink = files.build().unwrap();
    sink.open().await.unwrap();
    let wrong = [
        ("{\"id\":\"a\",\"n\":1.5}", RecordErrorKind::Unrepresentable),
        ("{\"id\":\"a\",\"n\":\"1\"}", RecordErrorKind::Unrepresentable),
        ("{\"id\":\"a\",\"x\":0.12345678901234567890}", RecordErrorKind::Unrepresentable),
        ("{\"id\":\"a\",\"yes\":1}", RecordErrorKind::Unrepresentable),
        ("{\"id\":\"a\",\"day\":\"29.2.2024\"}", RecordErrorKind::Unrepresentable),
        ("{\"id\":\"a\",\"other\":1}", RecordErrorKind::UnknownColumn),
        ("{\"id\":null}", RecordErrorKind::MissingField),
    ];
    let lines: Vec<String> = wrong.iter().map(|(line, _)| (*line).to_owned()).collect();
    let outcomes = sink.write(&batch(&lines, "1")).await.unwrap();
    for (outcome, (line, kind)) in outcomes.iter().zip(&wrong) {
        assert!(matches!(outcome, RowOutcome::Dead(error) if error.kind == *kind), "{line}: {outcome:?}");
    }
    for (options, fields) in [("", FIELDS), ("rotate: { records: 1 }", "{}")] {
        let files = Files { folder: folder.path().to_owned(), options, fields };
        assert!(files.build().is_err_and(|error| error.kind == ErrorKind::Configuration));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_dies_while_it_converts_is_finished_by_the_next() {
    let lines: Vec<String> = (0..10).map(line).collect();
    // Where the other run died: before it began, in the middle, and between conversion and renaming.
    for died in ["before", "half", "converted"] {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files = Files::new(folder.path(), "rotate: { records: 10 }");
        let mut sink = files.build().unwrap();
        sink.open().await.unwrap();
        put(sink.as_mut(), &lines[..9], "1").await;
        let json = fs::read(path("rows-000001.parquet.partial")).unwrap();
        put(sink.as_mut(), &lines[9..], "2").await;
        drop(sink);
        // The journal says that the part is complete; the folder is as a run left it that came no further.
        let whole = path("rows-000001.parquet");
        let mut lines_of_it = json;
        lines_of_it.extend_from_slice(lines[9].as_bytes());
        lines_of_it.push(b'\n');
        match died {
            "converted" => fs::rename(&whole, path("rows-000001.parquet.partial")).unwrap(),
            _ => {
                if died == "half" {
                    let bytes = fs::read(&whole).unwrap();
                    fs::write(path("rows-000001.parquet.partial.parquet"), &bytes[..bytes.len() / 2]).unwrap();
                }
                fs::remove_file(&whole).unwrap();
                fs::write(path("rows-000001.parquet.partial"), lines_of_it).unwrap();
            }
        }
        let mut sink = files.build().unwrap();
        sink.open().await.unwrap();
        assert_eq!(files.read("rows-000001.parquet").await, lines, "{died}");
        put(sink.as_mut(), &lines[..3], "3").await;
        sink.close().await.unwrap();
        assert_eq!(files.names(), ["rows-000001.parquet", "rows-000002.parquet"], "{died}");
    }
}

/// What a version left behind that did not keep columns in the journal.
fn forget_columns(folder: &Path) {
    let journal = folder.join("rows.parquet.cloakroom");
    let lines = fs::read_to_string(&journal).unwrap();
    let without = |line: &str| {
        let mut entry: serde_json::Value = serde_json::from_str(line).unwrap();
        entry.as_object_mut().unwrap().remove("layout");
        format!("{entry}\n")
    };
    fs::write(&journal, lines.lines().map(without).collect::<String>()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_was_begun_under_other_columns_is_finished_with_them() {
    for died in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), "rotate: { records: 10 }");
        let mut sink = files.build().unwrap();
        sink.open().await.unwrap();
        put(sink.as_mut(), &[line(0)], "1").await;
        if died {
            // The journal says that the part is complete, and it is not converted.
            fs::create_dir(folder.path().join("rows-000001.parquet.partial.parquet")).unwrap();
            sink.close().await.unwrap_err();
            fs::remove_dir(folder.path().join("rows-000001.parquet.partial.parquet")).unwrap();
        }
        drop(sink);
        let other = Files { fields: "{ id: {}, new: {} }", ..Files::new(folder.path(), "rotate: { records: 10 }") };
        let mut sink = other.build().unwrap();
        sink.open().await.unwrap();
        assert_eq!(files.read("rows-000001.parquet").await, [line(0)], "before anything is added");
        let row = "{\"id\":\"a\",\"new\":\"b\"}".to_owned();
        put(sink.as_mut(), std::slice::from_ref(&row), "2").await;
        drop(sink);
        // Back again.
        let mut sink = files.build().unwrap();
        sink.open().await.unwrap();
        assert_eq!(files.read("rows-000002.parquet").await, [row]);
        put(sink.as_mut(), &[line(1)], "3").await;
        sink.close().await.unwrap();
        assert_eq!(files.read("rows-000003.parquet").await, [line(1)]);
        assert_eq!(files.names().len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_columns_that_nobody_wrote_down_is_not_cut_to_these() {
    for way_out in ["its policy", "moved away"] {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), "rotate: { records: 10 }");
        let mut sink = files.build().unwrap();
        sink.open().await.unwrap();
        put(sink.as_mut(), &[line(0)], "1").await;
        drop(sink);
        forget_columns(folder.path());
        let partial = folder.path().join("rows-000001.parquet.partial");
        let content = fs::read(&partial).unwrap();
        let other = Files { fields: "{ id: {} }", ..Files::new(folder.path(), "rotate: { records: 10 }") };
        for _ in 0..2 {
            let error = other.build().unwrap().open().await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Corrupt);
            assert!(error.message.contains("begun under another policy"), "{error}");
            assert!(error.message.contains("move it away (it holds JSON lines)"), "{error}");
            assert_eq!(fs::read(&partial).unwrap(), content);
        }
        match way_out {
            "moved away" => {
                fs::remove_file(&partial).unwrap();
                let _ = fs::remove_file(folder.path().join("rows-000001.parquet.partial.parquet"));
                let mut sink = other.build().unwrap();
                sink.open().await.unwrap();
                put(sink.as_mut(), &["{\"id\":\"a\"}".to_owned()], "2").await;
                sink.close().await.unwrap();
                assert_eq!(files.names(), ["rows-000002.parquet"]);
            }
            _ => {
                let mut sink = files.build().unwrap();
                sink.open().await.unwrap();
                assert_eq!(files.read("rows-000001.parquet").await, [line(0)]);
                sink.close().await.unwrap();
            }
        }
    }
}
