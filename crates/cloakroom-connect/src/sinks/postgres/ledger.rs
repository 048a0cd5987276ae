//! What was delivered, in the database that has it: one row per partition, or ids of a bounded window.

use std::collections::{HashMap, HashSet};

use cloakroom_core::ProtectedRecord;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::sink::RowOutcome;
use cloakroom_pipeline::source::Progress;
use tokio_postgres::Client;

use super::connect::pg_error;
use super::table::TableName;

pub(super) struct PgLedger {
    pipeline: String,
    days: u32,
    /// What this run last read or committed, by partition. A ledger that stands elsewhere was moved by
    /// another run.
    known: HashMap<String, Option<String>>,
}

impl PgLedger {
    pub(super) fn new(pipeline: String, days: u32) -> Self {
        Self { pipeline, days, known: HashMap::new() }
    }

    /// Makes the ledger's tables beside the user's, and drops ids that are too old.
    pub(super) async fn open(&mut self, client: &Client, name: &TableName) -> Result<(), ConnectorError> {
        let (ledger, ids) = (name.sibling("cloakroom_ledger"), name.sibling("cloakroom_ledger_ids"));
        let there = client
            .query_one("SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL", &[&ledger, &ids])
            .await
            .map_err(|error| pg_error(&error))?;
        if !there.get::<_, bool>(0) {
            // Two runs that start together would both find nothing: the lock lets one make it.
            let sql = format!(
                "BEGIN;
                 SELECT pg_advisory_xact_lock(hashtext('cloakroom ledger'));
                 CREATE TABLE IF NOT EXISTS {ledger} (
                     pipeline text NOT NULL, part text NOT NULL, position text NOT NULL,
                     updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (pipeline, part));
                 CREATE TABLE IF NOT EXISTS {ids} (
                     pipeline text NOT NULL, id text NOT NULL,
                     seen_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (pipeline, id));
                 COMMIT;"
            );
            client.batch_execute(&sql).await.map_err(|error| pg_error(&error).context("making the ledger's tables"))?;
        }
        let old = format!("DELETE FROM {ids} WHERE pipeline = $1 AND seen_at < now() - make_interval(days => $2)");
        let days = i32::try_from(self.days).unwrap_or(i32::MAX);
        client.execute(&old, &[&self.pipeline, &days]).await.map_err(|error| pg_error(&error))?;
        Ok(())
    }

    /// Where a partition stands. Waits for a transaction of a run that has just died: the server completes
    /// a commit that it was sent.
    pub(super) async fn read(
        &mut self,
        client: &Client,
        name: &TableName,
        part: &str,
    ) -> Result<Option<String>, ConnectorError> {
        let ledger = name.sibling("cloakroom_ledger");
        let sql = format!("SELECT position FROM {ledger} WHERE pipeline = $1 AND part = $2 FOR UPDATE");
        let read = async || client.query_opt(&sql, &[&self.pipeline, &part]).await.map_err(|error| pg_error(&error));
        let mut row = read().await?;
        if row.is_none() {
            // No row to wait at: it may be on its way, with the table, in such a run's first commit.
            let first = "SELECT pg_advisory_xact_lock(hashtext($1), hashtext($2))";
            client.execute(first, &[&self.pipeline, &part]).await.map_err(|error| pg_error(&error))?;
            row = read().await?;
        }
        let position: Option<String> = row.map(|row| row.get(0));
        self.known.insert(part.to_owned(), position.clone());
        Ok(position)
    }

    /// True when the partition already stands at this position.
    pub(super) async fn stands_at(
        &mut self,
        client: &Client,
        name: &TableName,
        part: &str,
        position: &str,
    ) -> Result<bool, ConnectorError> {
        let expected = self.known.get(part).cloned();
        let found = self.read(client, name, part).await?;
        if found.as_deref() == Some(position) {
            return Ok(true);
        }
        match expected {
            Some(expected) if expected != found => {
                self.known.insert(part.to_owned(), expected);
                Err(conflict())
            }
            _ => Ok(false),
        }
    }

    /// Moves a partition, inside the transaction of its rows.
    pub(super) async fn advance(
        &mut self,
        client: &Client,
        name: &TableName,
        part: &str,
        position: &str,
    ) -> Result<(), ConnectorError> {
        let ledger = name.sibling("cloakroom_ledger");
        let moved = match self.known.get(part).cloned().flatten() {
            Some(expected) => {
                let sql = format!(
                    "UPDATE {ledger} SET position = $3, updated_at = now() WHERE pipeline = $1 AND part = $2 AND position = $4"
                );
                client.execute(&sql, &[&self.pipeline, &part, &position, &expected]).await
            }
            None => {
                let sql = format!(
                    "INSERT INTO {ledger} (pipeline, part, position) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
                );
                client.execute(&sql, &[&self.pipeline, &part, &position]).await
            }
        };
        match moved.map_err(|error| pg_error(&error))? {
            1 => Ok(()),
            _ => Err(conflict()),
        }
    }

    /// The commit succeeded.
    pub(super) fn committed(&mut self, progress: &Progress) {
        if let Progress::Position { partition, position } = progress {
            self.known.insert(partition.to_string(), Some(position.clone()));
        }
    }

    /// Claims ids; true for each record that is new.
    pub(super) async fn claim(
        &self,
        client: &Client,
        name: &TableName,
        records: &[ProtectedRecord],
    ) -> Result<Vec<bool>, ConnectorError> {
        let ids: Vec<String> = records.iter().map(|record| record.id().to_string()).collect();
        let table = name.sibling("cloakroom_ledger_ids");
        // Sorted, so that two runs that claim the same ids wait for each other and do not deadlock.
        let sql = format!(
            "INSERT INTO {table} (pipeline, id) SELECT $1, id FROM unnest($2::text[]) AS id ORDER BY id
             ON CONFLICT DO NOTHING RETURNING id"
        );
        let rows = client.query(&sql, &[&self.pipeline, &ids]).await.map_err(|error| pg_error(&error))?;
        let mut fresh: HashSet<String> = rows.into_iter().map(|row| row.get(0)).collect();
        if fresh.len() < ids.len() {
            // An id that comes again and again is remembered from the last time on, not from the first.
            let again = format!(
                "UPDATE {table} SET seen_at = now() WHERE pipeline = $1 AND id = ANY($2) AND seen_at < now() - interval '1 day'"
            );
            client.execute(&again, &[&self.pipeline, &ids]).await.map_err(|error| pg_error(&error))?;
        }
        Ok(ids.iter().map(|id| fresh.remove(id)).collect())
    }

    /// Gives the ids of refused rows back, so that their dead letters can be replayed.
    pub(super) async fn release(
        &self,
        client: &Client,
        name: &TableName,
        records: &[ProtectedRecord],
        outcomes: &[RowOutcome],
    ) -> Result<(), ConnectorError> {
        let dead = records.iter().zip(outcomes).filter(|(_, outcome)| matches!(outcome, RowOutcome::Dead(_)));
        let dead: Vec<String> = dead.map(|(record, _)| record.id().to_string()).collect();
        if !dead.is_empty() {
            let sql =
                format!("DELETE FROM {} WHERE pipeline = $1 AND id = ANY($2)", name.sibling("cloakroom_ledger_ids"));
            client.execute(&sql, &[&self.pipeline, &dead]).await.map_err(|error| pg_error(&error))?;
        }
        Ok(())
    }
}

fn conflict() -> ConnectorError {
    ConnectorError::new(
        ErrorKind::Conflict,
        "postgres: another run of this pipeline moved the ledger; let one run at a time",
    )
}
