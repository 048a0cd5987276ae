//! The file source and sink: every format, compression, resuming, replaced and broken files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_connect::{sinks, sources};
use cloakroom_core::decode::Payload;
use cloakroom_core::policy::RecordConfig;
use cloakroom_core::{Format, Policy, PolicyConfig, RecordErrorKind};
use cloakroom_pipeline::config::{BatchConfig, Template};
use cloakroom_pipeline::context::{SinkContext, SourceContext};
use cloakroom_pipeline::contract::{self, MemoryLedger, SinkUnderTest, drain};
use cloakroom_pipeline::retry::RetryConfig;
use cloakroom_pipeline::{Batch, ErrorKind, Progress, Sink, Source};

fn context(format: Format) -> SourceContext {
    let record = RecordConfig { format, ..RecordConfig::default() };
    let policy = Policy::compile(&PolicyConfig { record, ..PolicyConfig::default() }, None).unwrap();
    let ring = cloakroom_crypto::keyring_from_env_value(&"0123456789abcdef".repeat(4)).unwrap();
    SourceContext {
        pipeline: "test".to_owned(),
        policy: Arc::new(policy),
        batch: BatchConfig { records: 7, bytes: 1 << 20, wait_ms: 0 },
        retry: RetryConfig::default(),
        fingerprint: Arc::new(ring.fingerprint_key("test").unwrap()),
        once: true,
    }
}

fn source(path: &Path, format: Format) -> Box<dyn Source> {
    let config = sources::file::Config { path: Template::literal(&path.display().to_string()) };
    sources::file::build(&config, &context(format)).unwrap()
}

fn text(format: Format, count: usize) -> String {
    match format {
        Format::Parquet => unreachable!("no text; cloakroom-pipeline tests it"),
        Format::Csv => {
            let rows: String = (0..count).map(|n| format!("{n},\"a \"\"quoted\"\"\nname {n}\"\r\n")).collect();
            format!("id,name\r\n{rows}")
        }
        Format::KeyValue => (0..count).map(|n| format!("id={n}\nname=x=y {n}\n\n")).collect(),
        Format::Json => (0..count).map(|n| format!("{{\"id\":{n},\"name\":\"é\"}}\n\n")).collect(),
    }
}

fn write(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    let bytes = match name.rsplit('.').next() {
        Some("gz") => {
            // Two members, as appended files have.
            let mut out = Vec::new();
            for half in [&content[..content.len() / 2], &content[content.len() / 2..]] {
                let mut encoder = flate2::write::GzEncoder::new(&mut out, flate2::Compression::fast());
                encoder.write_all(half).unwrap();
                encoder.finish().unwrap();
            }
            out
        }
        Some("zst") => zstd::encode_all(content, 1).unwrap(),
        _ => content.to_vec(),
    };
    fs::write(&path, bytes).unwrap();
    path
}

async fn opened(path: &Path, format: Format) -> Vec<Batch> {
    let mut source = source(path, format);
    source.open(&mut MemoryLedger::default()).await.unwrap();
    drain(source.as_mut(), &mut MemoryLedger::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_keeps_the_contract_of_sources() {
    let folder = tempfile::tempdir().unwrap();
    let array = |count: usize| {
        let items: Vec<String> = (0..count).map(|n| format!("  {{\"id\": {n}, \"name\": \"],\\\"[\"}}")).collect();
        format!("[\n{}\n]\n", items.join(",\n"))
    };
    for (format, content) in [
        (Format::Json, text(Format::Json, 40)),
        (Format::Json, text(Format::Json, 40).trim_end().to_owned()),
        (Format::Json, array(40)),
        (Format::Csv, text(Format::Csv, 40)),
        (Format::KeyValue, text(Format::KeyValue, 40)),
        (Format::KeyValue, text(Format::KeyValue, 40).trim_end().to_owned()),
    ] {
        for name in ["plain", "packed.gz", "packed.zst"] {
            let path = write(folder.path(), name, content.as_bytes());
            contract::source(async || source(&path, format), 40).await;
            let batches = opened(&path, format).await;
            let last = &batches.last().unwrap().deliveries.last().unwrap().payload;
            assert!(last.decode(cloakroom_core::Limits::default()).is_ok());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_grew_goes_on_and_one_that_was_replaced_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    for format in [Format::Json, Format::Csv, Format::KeyValue] {
        let path = write(folder.path(), "data", text(format, 10).as_bytes());
        let batches = opened(&path, format).await;
        let mut ledger = MemoryLedger::default();
        for batch in &batches {
            let Progress::Position { partition, position } = &batch.progress else { panic!("no position") };
            ledger.0.insert(partition.to_string(), position.clone());
        }
        let count = async |content: &str| {
            fs::write(&path, content).unwrap();
            let mut again = source(&path, format);
            again.open(&mut MemoryLedger(ledger.0.clone())).await.unwrap();
            drain(again.as_mut(), &mut MemoryLedger::default())
                .await
                .iter()
                .map(|batch| batch.deliveries.len())
                .sum::<usize>()
        };
        assert_eq!(count(&text(format, 10)).await, 0);
        assert_eq!(count(&text(format, 13)).await, 3, "{format:?}");
        assert_eq!(count(&text(format, 4)).await, 4, "a shorter file is another file");
        let other = text(format, 10).replace("name", "NAME");
        assert_eq!(count(&other).await, 10, "another file of the same length");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_records_cost_only_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let lines = write(folder.path(), "lines", b"\xEF\xBB\xBF{\"a\":1}\n{broken\n{\"a\":\"\xff\"}\r\n\n{\"a\":2}");
    let batches = opened(&lines, Format::Json).await;
    let decode = |batch: &Batch| {
        let limits = cloakroom_core::Limits::default();
        batch.deliveries.iter().map(|d| d.payload.decode(limits).err().map(|e| e.kind)).collect::<Vec<_>>()
    };
    assert_eq!(decode(&batches[0]), [None, Some(RecordErrorKind::InvalidFormat), Some(RecordErrorKind::NotUtf8), None]);
    assert!(batches[0].deliveries[3].id.to_string().ends_with(":5"), "ids count lines as people do");
    let rows = write(folder.path(), "rows", b"a,b\n1,2\n1\n1,2,3\n\xff,4\n");
    let batches = opened(&rows, Format::Csv).await;
    let kinds = decode(&batches[0]);
    assert_eq!(
        kinds,
        [
            None,
            Some(RecordErrorKind::InvalidFormat),
            Some(RecordErrorKind::InvalidFormat),
            Some(RecordErrorKind::NotUtf8)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_ends_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let fails = async |path: &Path, format| {
        let mut source = source(path, format);
        match source.open(&mut MemoryLedger::default()).await {
            Err(error) => error,
            Ok(()) => loop {
                match source.next_batch(&mut MemoryLedger::default()).await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("it ended well"),
                    Err(error) => break error,
                }
            },
        }
    };
    assert_eq!(fails(&folder.path().join("nowhere"), Format::Json).await.kind, ErrorKind::Configuration);
    assert_eq!(fails(folder.path(), Format::Json).await.kind, ErrorKind::Configuration);
    let unclosed = write(folder.path(), "unclosed", b"[{\"a\":1},{\"a\":");
    assert!(fails(&unclosed, Format::Json).await.message.contains("not closed"));
    let mut packed = zstd::encode_all(text(Format::Json, 1000).as_bytes(), 1).unwrap();
    packed.truncate(packed.len() / 2);
    let cut = write(folder.path(), "cut", &packed);
    assert_eq!(fails(&cut, Format::Json).await.kind, ErrorKind::Corrupt);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_beyond_the_limit_is_delivered_as_unusable() {
    let folder = tempfile::tempdir().unwrap();
    let mut content = b"{\"a\":1}\n{\"a\":\"".to_vec();
    content.resize(content.len() + 70 * 1024 * 1024, b'x');
    content.extend_from_slice(b"\"}\n{\"a\":2}\n");
    let path = write(folder.path(), "big", &content);
    let batches = opened(&path, Format::Json).await;
    let deliveries: Vec<_> = batches.iter().flat_map(|batch| &batch.deliveries).collect();
    assert_eq!(deliveries.len(), 3);
    let Payload::Unusable { bytes, error } = &deliveries[1].payload else { panic!("usable") };
    assert!(
        bytes.is_empty() && error.kind == RecordErrorKind::TooLarge && error.detail.contains("73400328"),
        "{error}"
    );
    assert!(deliveries[2].id.to_string().ends_with(":3"));
}

struct Under {
    path: PathBuf,
    format: &'static str,
}

impl Under {
    fn content(&self) -> String {
        let bytes = fs::read(&self.path).unwrap_or_default();
        let mut text = String::new();
        match self.path.extension().and_then(|e| e.to_str()) {
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
}

#[async_trait]
impl SinkUnderTest for Under {
    async fn make(&self) -> Box<dyn Sink> {
        let yaml = format!("path: '{}'\nformat: {}\n", self.path.display(), self.format);
        let config: sinks::file::Config = serde_saphyr::from_str(&yaml).unwrap();
        let fields = serde_saphyr::from_str("{ id: {}, n: {} }").unwrap();
        let record: RecordConfig = serde_saphyr::from_str("unlisted: drop").unwrap();
        let policy = Policy::compile(&PolicyConfig { fields, record, ..PolicyConfig::default() }, None).unwrap();
        sinks::file::build(&config, &SinkContext { pipeline: "test".to_owned(), policy: Arc::new(policy) }).unwrap()
    }
    async fn count(&self) -> usize {
        // The file may hold more than was committed; what counts is what a reader sees after a clean open.
        self.content().matches("row-").count()
    }
    fn bad(&self) -> Option<String> {
        match self.format {
            "csv" => Some("{\"id\":\"row-bad\",\"other\":1}".to_owned()),
            "key_value" => Some("{\"id\":\"row-\\nbad\"}".to_owned()),
            _ => None,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_keeps_the_contract_of_sinks() {
    let folder = tempfile::tempdir().unwrap();
    for format in ["json_lines", "json_array", "csv", "key_value"] {
        for ending in ["txt", "gz", "zst"] {
            let test = Under { path: folder.path().join(format!("{format}.{ending}")), format };
            contract::sink(&test).await;
            let content = test.content();
            match format {
                "json_array" => assert!(serde_json::from_str::<Vec<serde_json::Value>>(&content).is_ok(), "{content}"),
                "csv" => assert!(content.starts_with("id,n\n") && content.matches("id,n\n").count() == 1),
                _ => assert!(content.ends_with('\n')),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_file_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let test = Under { path: write(folder.path(), "mine.txt", b"precious\n"), format: "json_lines" };
    let error = test.make().await.open().await.unwrap_err();
    assert!(error.message.contains("no journal"), "{error}");
    assert_eq!(fs::read(&test.path).unwrap(), b"precious\n");
}
