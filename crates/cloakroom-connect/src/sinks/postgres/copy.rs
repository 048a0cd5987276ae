//! Rows into the table. One COPY when all is well; when a row is refused, halves until it is found.

use bytes::Bytes;
use cloakroom_core::RecordError;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use futures_util::SinkExt;
use tokio_postgres::{Client, Error};

use super::connect::{pg_error, row_error};
use super::encode::{Encoded, HEADER, TRAILER};
use super::table::{Table, quote};

/// Bytes of one COPY message: large enough for throughput, small enough to keep memory flat.
const CHUNK: usize = 256 * 1024;

/// Copies all encoded rows; gives the refused ones by their place among the rows. Runs inside a
/// transaction and leaves no savepoint behind.
pub(super) async fn copy(
    client: &Client,
    table: &Table,
    encoded: &Encoded,
) -> Result<Vec<(usize, RecordError)>, ConnectorError> {
    let columns: Vec<&str> = encoded.columns.iter().map(|at| table.columns[*at].name.as_str()).collect();
    let mut refused = Vec::new();
    // Ranges of rows still to be copied, the first on top.
    let mut ranges: Vec<_> = std::iter::once(0..encoded.row_count()).collect();
    while let Some(range) = ranges.pop() {
        if range.is_empty() {
            continue;
        }
        client.batch_execute("SAVEPOINT rows").await.map_err(|error| pg_error(&error))?;
        let count = range.len() as u64;
        match copy_range(client, table, encoded, &columns, range.clone()).await {
            Ok(copied) if copied == count || !table.key.is_empty() => {
                client.batch_execute("RELEASE rows").await.map_err(|error| pg_error(&error))?;
            }
            Ok(copied) => {
                let text =
                    format!("postgres: {copied} of {count} rows arrived; a rule or trigger on the table drops rows");
                return Err(ConnectorError::new(ErrorKind::Conflict, text));
            }
            Err(error) => {
                let Some(reason) = row_error(&error, &columns, &table.constraints) else {
                    return Err(pg_error(&error));
                };
                client.batch_execute("ROLLBACK TO rows; RELEASE rows").await.map_err(|error| pg_error(&error))?;
                if range.len() == 1 {
                    refused.push((range.start, reason));
                } else {
                    let middle = range.start + range.len() / 2;
                    ranges.push(middle..range.end);
                    ranges.push(range.start..middle);
                }
            }
        }
    }
    Ok(refused)
}

async fn copy_range(
    client: &Client,
    table: &Table,
    encoded: &Encoded,
    columns: &[&str],
    range: std::ops::Range<usize>,
) -> Result<u64, Error> {
    let names: Vec<String> = columns.iter().map(|name| quote(name)).collect();
    let names = names.join(", ");
    if table.key.is_empty() {
        return copy_into(client, &table.name.to_string(), &names, encoded, range).await;
    }
    // Of several rows with one key in a batch the last one counts: rows are numbered as they are staged.
    let staging = "pg_temp.cloakroom_staging";
    let key: Vec<String> = table.key.iter().map(|name| quote(name)).collect();
    let key = key.join(", ");
    client
        .batch_execute(&format!(
            "DROP TABLE IF EXISTS {staging};
             CREATE TEMP TABLE cloakroom_staging ON COMMIT DROP AS SELECT {names} FROM {} WITH NO DATA;
             ALTER TABLE {staging} ADD COLUMN cloakroom_row bigserial",
            table.name
        ))
        .await?;
    copy_into(client, staging, &names, encoded, range).await?;
    let updates: Vec<String> = columns
        .iter()
        .filter(|name| !table.key.iter().any(|key| key == *name))
        .map(|name| format!("{0} = excluded.{0}", quote(name)))
        .collect();
    let action = if updates.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", updates.join(", ")) };
    let sql = format!(
        "INSERT INTO {} ({names}) SELECT {names} FROM (SELECT DISTINCT ON ({key}) * FROM {staging} ORDER BY {key}, cloakroom_row DESC) AS latest
         ON CONFLICT ({key}) DO {action}",
        table.name
    );
    client.execute(&sql, &[]).await
}

async fn copy_into(
    client: &Client,
    target: &str,
    names: &str,
    encoded: &Encoded,
    range: std::ops::Range<usize>,
) -> Result<u64, Error> {
    let sink = client.copy_in::<_, Bytes>(&format!("COPY {target} ({names}) FROM STDIN (FORMAT binary)")).await?;
    let mut sink = std::pin::pin!(sink);
    let mut rows = encoded.bytes(range);
    sink.feed(Bytes::from_static(HEADER)).await?;
    while !rows.is_empty() {
        let chunk = rows.split_to(rows.len().min(CHUNK));
        sink.send(chunk).await?;
    }
    sink.feed(Bytes::from_static(TRAILER)).await?;
    sink.as_mut().finish().await
}
