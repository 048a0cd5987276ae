//! The async seam between where records come from and where they are kept.
//!
//! ```text
//!  Source::next_batch ─▶ decode + Cloak::apply ─▶ Sink::write ─▶ dead letters ─▶ Sink::commit ─▶ Source::settle
//!      (async)             (CPU pool, in order)     (staged)       (sealed)        (ledger moves)   (source forgets)
//! ```
//!
//! [`run()`] is that line. Nothing is settled at the source before every record of a batch has an
//! outcome that is on disk somewhere; a batch that is delivered again changes nothing.

pub mod accounts;
pub mod apart;
pub mod audit;
pub mod config;
pub mod context;
pub mod dead_letter;
pub mod documents;
pub mod error;
pub mod fan_out;
pub mod framing;
pub mod keys;
pub mod metrics;
pub mod prefetch;
pub mod private;
pub mod retry;
pub mod reveal;
pub mod run;
pub mod sink;
pub mod source;
pub mod state;
pub mod summary;

#[cfg(feature = "testsuite")]
pub mod contract;

pub use error::{ConnectorError, ErrorKind};
pub use run::{Pipeline, run};
pub use sink::{Ledger, RowOutcome, Sink, SinkBatch};
pub use source::{Batch, Delivery, Outcome, Progress, Source};
pub use summary::{Counters, Summary};
