//! A commit that happened while its answer was lost: the one fault that a real server cannot be made to
//! show on demand, so a proxy of ours stands between, and drops the connection after passing COMMIT on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloakroom_connect::sinks::postgres::{self, Config};
use cloakroom_core::{Place, Policy, PolicyConfig, RecordId};
use cloakroom_pipeline::context::SinkContext;
use cloakroom_pipeline::{ErrorKind, Progress, RowOutcome, SinkBatch, contract};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::NoTls;

/// Passes bytes on in both directions; when armed, the next COMMIT reaches the server and its answer is lost.
async fn proxy(server: String, armed: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (server, armed) = (TcpStream::connect(&server).await.unwrap(), Arc::clone(&armed));
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let answers = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
                    let is_commit = buffer[..count].windows(7).any(|window| window == b"COMMIT\0");
                    if is_commit && armed.swap(false, Ordering::SeqCst) {
                        answers.abort();
                        to_server.write_all(&buffer[..count]).await.unwrap();
                        tokio::time::sleep(Duration::from_millis(300)).await;
                        return;
                    }
                    if to_server.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
                answers.abort();
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_without_an_answer_is_recognised() {
    let url = std::env::var("CLOAKROOM_TEST_POSTGRES_URL").expect("run the tests with `make test`");
    let (user, rest) = url.strip_prefix("postgres://").unwrap().split_once('@').unwrap();
    let (server, database) = rest.split_once('/').unwrap();
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let schema = format!("doubt{}", std::process::id());
    client.batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}")).await.unwrap();

    let armed = Arc::new(AtomicBool::new(false));
    let port = proxy(server.to_owned(), Arc::clone(&armed)).await;
    let yaml =
        format!("url: 'postgres://{user}@127.0.0.1:{port}/{database}'\ntable: {schema}.rows\ncreate_table: true\n");
    let config: Config = serde_saphyr::from_str(&yaml).unwrap();
    let policy = Arc::new(Policy::compile(&PolicyConfig::default(), None).unwrap());
    let mut sink = postgres::build(&config, &SinkContext { pipeline: "test".to_owned(), policy }).unwrap();
    sink.open().await.unwrap();

    let by_offset = Progress::Position { partition: "p".into(), position: "9".to_owned() };
    for (round, progress) in [by_offset, Progress::Ids].into_iter().enumerate() {
        let id = |number: u64| RecordId { partition: "p".into(), position: Place::Id(format!("{number}").into()) };
        let records = (0..5).map(|number| contract::record(id(number), &format!("{{\"n\":{number}}}"))).collect();
        let batch = SinkBatch { progress, records: Arc::new(records) };
        assert_eq!(sink.write(&batch).await.unwrap(), vec![RowOutcome::Delivered; 5]);
        armed.store(true, Ordering::SeqCst);
        assert_eq!(sink.commit().await.unwrap_err().kind, ErrorKind::Unavailable);
        assert_eq!(
            sink.write(&batch).await.unwrap(),
            vec![RowOutcome::Delivered; 5],
            "delivered, by the commit in doubt"
        );
        sink.commit().await.unwrap();
        assert_eq!(sink.write(&batch).await.unwrap(), vec![RowOutcome::Duplicate; 5], "and once more is a duplicate");
        sink.commit().await.unwrap();
        let count: i64 = client.query_one(&format!("SELECT count(*) FROM {schema}.rows"), &[]).await.unwrap().get(0);
        assert_eq!(count, 5 * (round as i64 + 1), "every row once");
    }
}
