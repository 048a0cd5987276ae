//! `cloakroom demo`: the main job on nothing but this program. Sample logins from a file, users from an
//! HTTP API that fails now and then, and chat messages, through the policies in `examples/`, into SQLite.

use std::fs::{self, File as OsFile};
use std::io::BufWriter;
use std::path::Path;

use cloakroom_connect::{sinks, sources};
use cloakroom_pipeline::Summary;
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::{keys, private};
use tokio_util::sync::CancellationToken;

use crate::args::DemoOptions;
use crate::commands::run::drive;
use crate::commands::sample::write_lines;
use crate::error::Failure;
use crate::load::compile;
use crate::output;
use crate::registry::{File, SinkConfig, SourceConfig};
use crate::sample::server::{SampleApi, ServeOptions, serve};
use crate::sample::{Kind, Sample};

/// The policies that the demo runs are the examples that people read.
const LOGINS: &str = include_str!("../../../../examples/logins.yaml");
const USERS: &str = include_str!("../../../../examples/users.yaml");
const MESSAGES: &str = include_str!("../../../../examples/demo.yaml");

/// Says that a folder is a demo's and may be made anew.
const MARKER: &str = ".cloakroom-demo";

pub(crate) async fn demo(options: DemoOptions) -> Result<u8, Failure> {
    let DemoOptions { folder, count } = options;
    make_folder(&folder)?;
    keys::init(&folder.join("keys.json"), &cloakroom_pipeline::run::now().timestamp(), None).await?;
    let few = (count / 10).max(1);

    let logins = Sample { wrong_shape: true, ..Sample::new(Kind::Logins, 1) };
    let messages = Sample::new(Kind::Messages, 1);
    let users = Sample::new(Kind::Users, 1);
    write_sample(&folder.join("logins.jsonl"), &logins, count)?;
    write_sample(&folder.join("messages.jsonl"), &messages, few)?;

    output::line(&format!("{}\n", output::bold("Cloakroom demo: sample data, three policies, one SQLite database")));
    let summary = run(LOGINS, "logins", file_source(&folder.join("logins.jsonl")), &folder, "user_logins").await?;
    tell(&folder, &summary, &logins, "user_logins", &["ip", "device_id"], &["masked_ip", "masked_device_id"])?;

    let (url, stop) = serve_users(users, few).await?;
    let summary = run(USERS, "users", http_source(&url)?, &folder, "users").await?;
    stop.cancel();
    tell(&folder, &summary, &users, "users", &["fec_alta", "credit_card_num", "ip"], &["fec_alta", "cc", "ip"])?;

    let summary = run(MESSAGES, "demo", file_source(&folder.join("messages.jsonl")), &folder, "messages").await?;
    tell(&folder, &summary, &messages, "messages", &["author", "text"], &["author", "text"])?;

    let folder = folder.display();
    output::line(&format!(
        "Everything is in {folder}/: the input, the keys, cloakroom.db with the three tables, and state.db with the\n\
         dead letters, which are encrypted. Look at them, and try a policy of your own:\n\n\
         \x20 CLOAKROOM_HOME={folder} cloakroom dead-letters list\n\
         \x20 sqlite3 {folder}/cloakroom.db 'SELECT * FROM users LIMIT 3'\n\
         \x20 CLOAKROOM_HOME={folder} cloakroom check examples/users.yaml"
    ));
    Ok(0)
}

fn make_folder(folder: &Path) -> Result<(), Failure> {
    let shown = folder.display().to_string();
    let failed = |error: std::io::Error| Failure::new(2, format!("{shown}: {error}"));
    if folder.exists() {
        if !folder.join(MARKER).exists() {
            return Err(Failure::new(2, format!("{shown} is there and is not a demo's; name another with --folder")));
        }
        fs::remove_dir_all(folder).map_err(failed)?;
    }
    private::folder(folder)?;
    fs::write(folder.join(MARKER), "This folder is made anew by `cloakroom demo`.\n").map_err(failed)
}

fn write_sample(path: &Path, sample: &Sample, count: u64) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(3, format!("{}: {error}", path.display()));
    let mut out = BufWriter::with_capacity(256 * 1024, OsFile::create(path).map_err(failed)?);
    write_lines(sample, count, &mut out).map_err(failed)
}

fn path_of(path: &Path) -> Template {
    Template::literal(&path.display().to_string())
}

fn file_source(path: &Path) -> SourceConfig {
    SourceConfig::File(sources::file::Config { path: path_of(path) })
}

/// The example's source with another address.
fn http_source(url: &str) -> Result<SourceConfig, Failure> {
    match File::parse(USERS, "examples/users.yaml")?.source {
        Some(SourceConfig::Http(config)) => {
            Ok(SourceConfig::Http(Box::new(sources::http::Config { url: Template::literal(url), ..*config })))
        }
        _ => Err(Failure::new(3, "examples/users.yaml has no HTTP source")),
    }
}

/// An HTTP API on this machine that answers 500, 429 and half of a body now and then.
async fn serve_users(users: Sample, count: u64) -> Result<(String, CancellationToken), Failure> {
    let failed = |error: std::io::Error| Failure::new(3, format!("the sample API: {error}"));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
    let url = format!("http://{}/users", listener.local_addr().map_err(failed)?);
    let broken = &br#"{"id": "broken", "fec_alta": }"#[..];
    let options = ServeOptions { faults: true, retry_after: 0, ..ServeOptions::default() };
    let api = SampleApi::generated(users, usize::try_from(count).unwrap_or(usize::MAX))
        .with_item(7, broken)
        .with_options(options);
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, api, stop.clone().cancelled_owned()));
    Ok((url, stop))
}

/// Runs an example's policy with the demo's source, database, keys and state.
async fn run(example: &str, name: &str, source: SourceConfig, folder: &Path, table: &str) -> Result<Summary, Failure> {
    let shown = format!("examples/{name}.yaml");
    let mut file = File::parse(example, &shown)?;
    file.source = Some(source);
    let path = path_of(&folder.join("cloakroom.db"));
    let sqlite =
        sinks::sqlite::Config { path, table: table.to_owned(), create_table: true, key: None, ledger_days: 90 };
    file.sink = Some(SinkConfig::Sqlite(sqlite));
    file.keys.file = Some(path_of(&folder.join("keys.json")));
    file.state.path = Some(path_of(&folder.join("state.db")));
    let loaded = compile(file, &shown).await?;
    drive(loaded.pipeline(loaded.source(true)?).await?, true).await
}

/// What happened, in numbers and in one record. The demo's records are made up, so they may be shown.
fn tell(
    folder: &Path,
    summary: &Summary,
    sample: &Sample,
    table: &str,
    before: &[&str],
    after: &[&str],
) -> Result<(), Failure> {
    output::line(&output::summary(summary));
    // A message with something in it tells more than the first one.
    let index = if sample.kind == Kind::Messages {
        (0..1000).find(|index| text_of(sample, *index).contains('@')).unwrap_or(0)
    } else {
        0
    };
    let raw: serde_json::Value = serde_json::from_str(&text_of(sample, index)).unwrap_or_default();
    let stored = stored_row(&folder.join("cloakroom.db"), table, after, index)?;
    let rows: Vec<Vec<String>> = before
        .iter()
        .zip(after)
        .zip(stored)
        .map(|((before, after), stored)| {
            let raw = raw[before].as_str().map_or_else(|| raw[before].to_string(), str::to_owned);
            vec![format!("  {before}"), shorten(&raw), "->".to_owned(), (*after).to_owned(), shorten(&stored)]
        })
        .collect();
    output::line(&format!("{}\n", output::table(&["  arrives", "", "", "is kept as", ""], &rows)));
    Ok(())
}

fn text_of(sample: &Sample, index: u64) -> String {
    let mut text = Vec::new();
    sample.write_record(index, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn stored_row(database: &Path, table: &str, columns: &[&str], index: u64) -> Result<Vec<String>, Failure> {
    let failed = |_| Failure::new(3, "the demo's database cannot be read");
    let connection = rusqlite::Connection::open(database).map_err(failed)?;
    let sql = format!("SELECT {} FROM {table} LIMIT 1 OFFSET {index}", columns.join(", "));
    let read = |row: &rusqlite::Row<'_>| {
        (0..columns.len()).map(|at| row.get::<_, Option<String>>(at).map(Option::unwrap_or_default)).collect()
    };
    connection.query_row(&sql, [], read).map_err(failed)
}

fn shorten(text: &str) -> String {
    const MOST: usize = 72;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST - 1).chain(['…']).collect() }
}
