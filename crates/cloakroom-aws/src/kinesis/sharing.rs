//! Reading the shards whose leases this run holds.
//!
//! A shard whose lease was lost is read no further at once. One that another worker asks for is read no further either, and
//! handed over when what was given out of it has its outcomes; so the other one begins where this one ended, and does not
//! get in its way. Whenever a lease changes hands, the ledger is asked anew where the shard stands.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_pipeline::error::ConnectorError;
use tokio::time::Instant;

use super::config::{Config, Named};
use super::leases::{Leases, Table, View, Wish};
use super::shards::{END, readable};
use super::{KinesisSource, REST, Resting};
use crate::client::plain;

/// How long a shard rests that another run moved although its lease is held here: that one still had something on its way.
const SHORT_REST: Duration = Duration::from_secs(1);

/// The leases, and what was done about them.
pub(super) struct Sharing {
    leases: Leases,
    /// As it was last heeded.
    view: View,
    /// Shards that are being handed over.
    leaving: BTreeSet<String>,
}

impl Sharing {
    fn holds(&self, shard: &str) -> bool {
        self.view.owners.get(shard).is_some_and(|owner| owner == self.leases.me())
    }

    fn is_held_by_other(&self, shard: &str) -> bool {
        self.view.owners.get(shard).is_some_and(|owner| owner != self.leases.me())
    }

    pub(super) async fn close(self) {
        self.leases.close().await;
    }
}

/// Waits until the leases changed; for ever where there are none. Cancel-safe.
pub(super) async fn changed(sharing: &mut Option<Sharing>) -> Result<(), ConnectorError> {
    match sharing {
        Some(sharing) => sharing.leases.changed().await.map_err(|error| error.context("leases")),
        None => std::future::pending().await,
    }
}

/// The table of leases, where the stream is shared.
pub(super) async fn table(config: &Config, pipeline: &str) -> Result<Option<Table>, ConnectorError> {
    let Some(leases) = &config.leases else { return Ok(None) };
    let named = Named::parse(&config.stream.resolve_plain()?)?;
    let region = plain(&config.region)?.or(named.region);
    Table::connect(leases, region, pipeline, &named.name).await.map(Some)
}

impl KinesisSource {
    /// Begins to keep leases, where the stream is shared.
    pub(super) async fn share(&mut self) -> Result<(), ConnectorError> {
        let (Some(table), Some(config)) = (table(&self.config, &self.context.pipeline).await?, &self.config.leases)
        else {
            return Ok(());
        };
        let worker = config.worker()?;
        let leases = Leases::open(Arc::new(table), worker.as_deref(), config.duration(), self.context.retry).await?;
        self.sharing = Some(Sharing { leases, view: View::default(), leaving: BTreeSet::new() });
        Ok(())
    }

    /// True when a shard is this run's to read.
    pub(super) fn may_read(&self, shard: &str) -> bool {
        self.sharing.as_ref().is_none_or(|sharing| sharing.holds(shard) && !sharing.leaving.contains(shard))
    }

    /// How long a shard rests that another run moved.
    pub(super) fn rest(&self) -> Duration {
        if self.sharing.is_some() { SHORT_REST } else { REST }
    }

    /// A shard that another run moved is left to it, or rests if the lease is held here.
    pub(super) fn yield_shared(&mut self, shard: &str) {
        if self.may_read(shard) {
            self.resting.insert(shard.to_owned(), Resting { until: Instant::now() + SHORT_REST, seen: None });
        }
    }

    /// Does what the leases say: ends the reading of shards that are lost or asked for, and forgets where shards stood that
    /// changed hands.
    pub(super) fn heed(&mut self) {
        let Some(sharing) = &mut self.sharing else { return };
        let view = sharing.leases.view();
        let before = std::mem::replace(&mut sharing.view, view);
        let mut changed = Vec::new();
        for shard in before.owners.keys().chain(sharing.view.owners.keys()) {
            if before.owners.get(shard) != sharing.view.owners.get(shard) && !sharing.is_held_by_other(shard) {
                changed.push(shard.clone());
            }
        }
        let asked_for: Vec<String> = sharing.view.asked_for.iter().cloned().collect();
        sharing.leaving.extend(asked_for);
        let (owners, me) = (&sharing.view.owners, sharing.leases.me());
        sharing.leaving.retain(|shard| owners.get(shard).is_some_and(|owner| owner == me));
        for shard in changed {
            self.asked.remove(&shard);
            self.positions.remove(&shard);
        }
        let ids = self.working.keys().chain(self.resting.keys());
        let lost: Vec<String> = ids.filter(|id| !self.may_read(id)).cloned().collect();
        for id in lost {
            if let Some(working) = self.working.remove(&id) {
                working.task.abort();
                tracing::info!(shard = %id, "another worker reads this shard from here on");
            }
            self.resting.remove(&id);
        }
    }

    /// Says which shards may be read, and gives up those that are read to their end, or are asked for and have no batch
    /// under way.
    pub(super) fn wish(&self) {
        let Some(sharing) = &self.sharing else { return };
        let readable = readable(&self.shards, &self.positions);
        let is_wanted = |shard: &&&str| !self.over.contains(**shard) || sharing.holds(shard);
        let listed: BTreeSet<String> = self.shards.iter().map(|shard| shard.id.clone()).collect();
        let is_done = |shard: &&String| {
            let is_ended = self.positions.get(*shard).is_some_and(|position| position == END);
            (is_ended || sharing.leaving.contains(*shard) || !listed.contains(*shard)) && !self.is_given(shard)
        };
        let held = sharing.view.owners.keys().filter(|shard| sharing.holds(shard));
        let release = held.filter(is_done).cloned().collect();
        let wanted = readable.iter().filter(is_wanted).map(|shard| (*shard).to_owned()).collect();
        sharing.leases.wish(Wish { wanted, listed, release });
    }

    /// True when every shard that may be read was read to its newest record, or is held by another worker that was seen to be
    /// alive: what one holds that was killed just now looks the same, until it does not move.
    pub(super) fn is_shared_out(&self) -> bool {
        let Some(sharing) = &self.sharing else { return true };
        let is_answered_for = |shard: &str| {
            sharing.is_held_by_other(shard)
                && sharing.view.owners.get(shard).is_some_and(|owner| sharing.view.alive.contains(owner))
        };
        let is_done = |shard: &str| self.over.contains(shard) || is_answered_for(shard);
        sharing.view.is_settled
            && sharing.leases.is_current(&sharing.view)
            && readable(&self.shards, &self.positions).into_iter().all(is_done)
    }
}
