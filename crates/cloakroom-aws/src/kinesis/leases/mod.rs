//! Leases: which of several runs reads which shard.
//!
//! ```text
//! source  ── wish: shards that may be read, shards to give up ──►  keeper (a task)  ◄──► store (a table)
//!         ◄── view: who holds what ───────────────────────────────
//! ```
//!
//! A lease is an item with an owner and a counter that every write moves. It is alive as long as its counter moves: each
//! worker measures by its own monotonic clock how long it did not, and clocks are never compared. What was delivered stands
//! in the sink's ledger, as ever; leases only keep runs from reading the same. So nothing is lost or doubled when two runs
//! believe that they hold a lease: the ledger lets one of them win.
//!
//! * `keeper`: renews, takes and gives up, in the background
//! * `share`: what a worker's share is
//! * `dynamodb`: the items, in a table

mod dynamodb;
mod keeper;
mod share;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::retry::RetryConfig;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(super) use dynamodb::Table;
use keeper::Keeper;

/// How long giving up may take when a run ends. What is left then runs out by itself.
const CLOSE: Duration = Duration::from_secs(5);

/// A lease, as the store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) shard: String,
    /// Nobody when it was given up.
    pub(super) owner: Option<String>,
    /// Every write moves it.
    pub(super) counter: u64,
    /// Another worker whose share is too small: the owner hands it over when its batches have outcomes.
    pub(super) wanted_by: Option<String>,
}

/// Where leases are kept. A write counts only when nobody else wrote since the lease was read.
#[async_trait]
pub(super) trait Store: Send + Sync {
    /// Makes sure that leases can be kept.
    async fn open(&self) -> Result<(), ConnectorError>;

    /// All leases of this pipeline and stream.
    async fn list(&self) -> Result<Vec<Lease>, ConnectorError>;

    /// Writes a lease over what it was, or a new one; false when it is something else by now.
    async fn put(&self, old: Option<&Lease>, new: &Lease) -> Result<bool, ConnectorError>;

    /// Removes a lease; nothing happens when it is something else by now.
    async fn remove(&self, old: &Lease) -> Result<(), ConnectorError>;
}

/// What the source wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// Shards that may be read now, by anybody.
    pub(super) wanted: BTreeSet<String>,
    /// All shards that the stream lists.
    pub(super) listed: BTreeSet<String>,
    /// Shards that are held and not to be held any longer.
    pub(super) release: BTreeSet<String>,
}

/// Who holds what.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// The wish for which this was found.
    pub(super) wish: u64,
    /// The owner of each lease that is alive.
    pub(super) owners: BTreeMap<String, String>,
    /// Workers that were seen to be alive: a lease of theirs moved since this one began to look.
    pub(super) alive: BTreeSet<String>,
    /// Leases of this worker that another one asks for.
    pub(super) asked_for: BTreeSet<String>,
    /// Nothing is free, and no lease is on its way to this worker.
    pub(super) is_settled: bool,
}

/// The leases, for the source.
pub(super) struct Leases {
    me: String,
    wish: watch::Sender<(u64, Wish)>,
    view: watch::Receiver<View>,
    stop: CancellationToken,
    /// Ends with the source, however that ends.
    task: JoinSet<Result<(), ConnectorError>>,
}

impl Leases {
    /// Begins to keep leases. A worker with a name takes up at once what an earlier run under this name held.
    pub(super) async fn open(
        store: Arc<dyn Store>,
        worker: Option<&str>,
        duration: Duration,
        retry: RetryConfig,
    ) -> Result<Self, ConnectorError> {
        store.open().await?;
        let me = format!("{}/{:016x}", worker.unwrap_or_default(), rand::random::<u64>());
        let (wish, wishes) = watch::channel((0, Wish::default()));
        let (views, view) = watch::channel(View::default());
        let stop = CancellationToken::new();
        let keeper = Keeper::new(store, me.clone(), worker.is_some(), duration, (wishes, views));
        let mut task = JoinSet::new();
        task.spawn(keeper.run(retry, stop.clone()));
        Ok(Self { me, wish, view, stop, task })
    }

    /// The name under which leases are held here.
    pub(super) fn me(&self) -> &str {
        &self.me
    }

    /// Says what is wanted, where that changed.
    pub(super) fn wish(&self, wish: Wish) {
        self.wish.send_if_modified(|(number, last)| {
            let is_new = *last != wish;
            if is_new {
                (*number, *last) = (*number + 1, wish);
            }
            is_new
        });
    }

    /// Who holds what, as last found.
    pub(super) fn view(&mut self) -> View {
        self.view.borrow_and_update().clone()
    }

    /// True when a view was found for what is wanted now.
    pub(super) fn is_current(&self, view: &View) -> bool {
        view.wish > 0 && view.wish == self.wish.borrow().0
    }

    /// Waits until something changed. Cancel-safe.
    pub(super) async fn changed(&mut self) -> Result<(), ConnectorError> {
        let ended = || ConnectorError::new(ErrorKind::Internal, "the task that keeps the leases ended");
        tokio::select! {
            changed = self.view.changed() => match changed {
                Ok(()) => Ok(()),
                // The task has ended, and says why.
                Err(_) => match self.task.join_next().await {
                    Some(Ok(Err(error))) => Err(error),
                    _ => Err(ended()),
                },
            },
            Some(result) = self.task.join_next() => match result {
                Ok(Err(error)) => Err(error),
                _ => Err(ended()),
            },
        }
    }

    /// Gives all leases up, so that others may have them at once.
    pub(super) async fn close(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(CLOSE, self.task.join_next()).await.is_err() {
            tracing::warn!("the leases could not be given up in time; they run out by themselves");
        }
    }
}
