use bucketdb_driver::{DriverError, ErrorKind, Operation};
use futures::channel::oneshot;

use crate::{Result, RunMeta, RunWriter};

/// A run that is brought to its end by a task of the environment. That goes on if this is dropped.
#[derive(Debug)]
pub struct Finishing {
    outcome: oneshot::Receiver<Result<Option<RunMeta>>>,
    object: String,
}

impl RunWriter {
    /// As [`finish`](Self::finish), beside the caller, who may begin another run: an object takes a while to become
    /// durable.
    #[must_use]
    pub fn finish_apart(self) -> Finishing {
        let (tell, outcome) = oneshot::channel();
        let (env, object) = (self.store().env().clone(), self.name().to_string());
        env.spawn(Box::pin(async move {
            // Nobody waits for the outcome if whoever wrote the run gave up.
            let _ = tell.send(self.finish().await);
        }));
        Finishing { outcome, object }
    }
}

impl Finishing {
    /// Waits for the end. The future may be dropped; once it was completed, there is nothing more to wait for.
    ///
    /// # Errors
    /// As [`RunWriter::finish`].
    pub async fn outcome(&mut self) -> Result<Option<RunMeta>> {
        match (&mut self.outcome).await {
            Ok(outcome) => outcome,
            Err(oneshot::Canceled) => {
                let detail = "the task that wrote it ended early";
                Err(DriverError::new(ErrorKind::Transient, Operation::Put, &self.object, detail).into())
            }
        }
    }
}
