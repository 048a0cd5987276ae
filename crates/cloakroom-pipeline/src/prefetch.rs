//! Makes a producer that runs by itself into a cancel-safe queue of batches: a source that reads ahead a
//! little while earlier batches are being written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{ConnectorError, ErrorKind};
use crate::source::Batch;
use tokio::sync::mpsc;

/// Batches that wait at most. Together with the run loop's own bound this limits memory.
const AHEAD: usize = 2;

/// The receiving end.
pub struct Prefetch {
    batches: mpsc::Receiver<Result<Batch, ConnectorError>>,
    /// Set by a producer that came to its end; one that panicked did not, and its silence is no end.
    finished: Arc<AtomicBool>,
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
        let finished = Arc::new(AtomicBool::new(false));
        let spawned = std::thread::Builder::new().name("source".to_owned()).spawn({
            let (sender, finished) = (sender.clone(), Arc::clone(&finished));
            move || match produce(&sender) {
                Ok(()) => finished.store(true, Ordering::Release),
                Err(error) => drop(sender.blocking_send(Err(error))),
            }
        });
        if let Err(error) = spawned {
            let _ = sender.try_send(Err(ConnectorError::io("a reading thread", &error)));
        }
        Self { batches, finished, ended: false }
    }

    /// Runs an asynchronous producer as a task.
    pub fn task<F>(produce: impl FnOnce(Producer) -> F) -> Self
    where
        F: Future<Output = Result<(), ConnectorError>> + Send + 'static,
    {
        let (sender, batches) = mpsc::channel(AHEAD);
        let work = produce(sender.clone());
        let finished = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&finished);
        tokio::spawn(async move {
            match work.await {
                Ok(()) => done.store(true, Ordering::Release),
                Err(error) => drop(sender.send(Err(error)).await),
            }
        });
        Self { batches, finished, ended: false }
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
                match self.finished.load(Ordering::Acquire) {
                    true => Ok(None),
                    false => {
                        Err(ConnectorError::new(ErrorKind::Internal, "the source ended in the middle of its work"))
                    }
                }
            }
        }
    }
}

/// The error of a producer whose receiver has gone: the run was stopped.
#[must_use]
pub fn gone() -> ConnectorError {
    ConnectorError::new(ErrorKind::Internal, "nobody waits for records any more")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_producer_that_panics_is_no_end() {
        let mut blocking = Prefetch::blocking(|_| panic!("on purpose"));
        assert!(blocking.next().await.is_err());
        let mut task = Prefetch::task(|_| async { panic!("on purpose") });
        assert!(task.next().await.is_err());
        let mut good = Prefetch::blocking(|_| Ok(()));
        assert!(good.next().await.unwrap().is_none());
    }
}
