use std::sync::Arc;

use bucketdb_driver::{Condition, Driver, DriverError, ErrorKind, Key, Operation};
use bucketdb_env::Environment;
use bytes::Bytes;
use futures::channel::{mpsc, oneshot};
use futures::future::poll_fn;
use futures::stream::{self, StreamExt};

/// How many pieces may wait to be sent beside the one that every sender may always leave.
const WAITING_PIECES: usize = 1;

/// An object that is written piece by piece, by a task of its own.
#[derive(Debug)]
pub(crate) struct Upload {
    pieces: mpsc::Sender<Piece>,
    outcome: oneshot::Receiver<Result<(), DriverError>>,
    key: Key,
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    /// Everything was sent. Without it the object must not appear: its writer is gone.
    End,
}

impl Upload {
    /// Begins to write the object `key`.
    pub(crate) fn begin(driver: Arc<dyn Driver>, env: &dyn Environment, key: Key, condition: Condition) -> Self {
        let (pieces, waiting) = mpsc::channel(WAITING_PIECES);
        let (tell, outcome) = oneshot::channel();
        let upload = Self { pieces, outcome, key: key.clone() };
        env.spawn(Box::pin(async move {
            let given_up = unclear(&key, "its writer was dropped before the end");
            let pieces = stream::unfold(Some((waiting, given_up)), |state| async {
                let (mut waiting, given_up) = state?;
                match waiting.next().await {
                    Some(Piece::Bytes(bytes)) => Some((Ok(bytes), Some((waiting, given_up)))),
                    Some(Piece::End) => None,
                    None => Some((Err(given_up), None)),
                }
            });
            let written = driver.put_stream(&key, pieces.boxed(), condition).await;
            // Nobody waits for the outcome if the writer is gone.
            let _ = tell.send(written.map(|_| ()));
        }));
        upload
    }

    /// Hands over a piece, once there is room for it. Nothing is taken before: the future may be dropped.
    pub(crate) async fn ready(&mut self) -> Result<(), DriverError> {
        match poll_fn(|context| self.pieces.poll_ready(context)).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failure().await),
        }
    }

    /// Hands over a piece, after [`ready`](Self::ready).
    pub(crate) async fn send(&mut self, bytes: Bytes) -> Result<(), DriverError> {
        match self.pieces.start_send(Piece::Bytes(bytes)) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failure().await),
        }
    }

    /// Says that this was all, and waits until the object is there.
    pub(crate) async fn finish(mut self) -> Result<(), DriverError> {
        self.ready().await?;
        if self.pieces.start_send(Piece::End).is_err() {
            return Err(self.failure().await);
        }
        match (&mut self.outcome).await {
            Ok(outcome) => outcome,
            Err(oneshot::Canceled) => Err(unclear(&self.key, "the task that wrote it ended early")),
        }
    }

    /// Why no more pieces are taken.
    async fn failure(&mut self) -> DriverError {
        match (&mut self.outcome).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) => unclear(&self.key, "the driver wrote it before its end was known"),
            Err(oneshot::Canceled) => unclear(&self.key, "the task that wrote it ended early"),
        }
    }
}

fn unclear(key: &Key, detail: &str) -> DriverError {
    DriverError::new(ErrorKind::Transient, Operation::Put, key.as_str(), detail)
}
