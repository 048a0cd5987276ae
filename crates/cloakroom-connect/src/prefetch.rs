//! Makes a producer that runs by itself into a cancel-safe queue of batches: a source that reads ahead a
//! little while earlier batches are being written.

use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::source::Batch;
use tokio::sync::mpsc;

/// Batches that wait at most. Together with the run loop's own bound this limits memory.
const AHEAD: usize = 2;

/// The receiving end.
pub struct Prefetch {
    batches: mpsc::Receiver<Result<Batch, ConnectorError>>,
    ended: bool,
}

/// The producing end: send batches, then drop it.
pub type Producer = mpsc::Sender<Result<Batch, ConnectorError>>;

impl Prefetch {
    /// Runs a producer on a thread of its own that may block: files, standard input.
    pub fn blocking(produce: impl FnOnce(&Producer) -> Result<(), ConnectorError> + Send + 'static) -> Self {
        let (sender, batches) = mpsc::channel(AHEAD);
        // Not the runtime's blocking pool: a read from standard input may wait for ever and must not
        // keep the program from ending.
        let spawned = std::thread::Builder::new().name("source".to_owned()).spawn({
            let sender = sender.clone();
            move || {
                if let Err(error) = produce(&sender) {
                    let _ = sender.blocking_send(Err(error));
                }
            }
        });
        if let Err(error) = spawned {
            let _ = sender.try_send(Err(ConnectorError::io("a reading thread", &error)));
        }
        Self { batches, ended: false }
    }

    /// Runs an asynchronous producer as a task.
    pub fn task<F>(produce: impl FnOnce(Producer) -> F) -> Self
    where
        F: Future<Output = Result<(), ConnectorError>> + Send + 'static,
    {
        let (sender, batches) = mpsc::channel(AHEAD);
        let work = produce(sender.clone());
        tokio::spawn(async move {
            if let Err(error) = work.await {
                let _ = sender.send(Err(error)).await;
            }
        });
        Self { batches, ended: false }
    }

    /// The next batch, or `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// What the producer ended with.
    pub async fn next(&mut self) -> Result<Option<Batch>, ConnectorError> {
        if self.ended {
            return Ok(None);
        }
        match self.batches.recv().await {
            Some(Ok(batch)) => Ok(Some(batch)),
            Some(Err(error)) => {
                self.ended = true;
                Err(error)
            }
            None => {
                self.ended = true;
                Ok(None)
            }
        }
    }
}

/// The error of a producer whose receiver has gone: the run was stopped.
#[must_use]
pub fn gone() -> ConnectorError {
    ConnectorError::new(ErrorKind::Internal, "nobody waits for records any more")
}
