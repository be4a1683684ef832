use std::ops::Range;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{self, Either};

use bytes::Bytes;

use crate::{Result, Run};

/// A stretch of a run that is being read before anybody asks for it, by a task of its own, so that it comes while its
/// reader does something else. Once this is dropped, so is the request.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    range: Range<u64>,
    answer: oneshot::Receiver<Result<Bytes>>,
}

impl ReadAhead {
    /// Begins to read.
    pub(crate) fn begin(run: Run, range: Range<u64>) -> Self {
        let (mut tell, answer) = oneshot::channel();
        let env = run.store().env().clone();
        let wanted = range.clone();
        env.spawn(Box::pin(async move {
            let read = async { run.store().read(&run, wanted).await }.boxed();
            let bytes = match future::select(read, tell.cancellation()).await {
                Either::Left((bytes, _)) => bytes,
                Either::Right(_) => return,
            };
            // Whoever waited may have gone away at the last moment.
            let _ = tell.send(bytes);
        }));
        Self { range, answer }
    }

    /// Where in the object it lies.
    pub(crate) fn range(&self) -> &Range<u64> {
        &self.range
    }

    /// The bytes, once they are there; `None` if the task was ended before its time. Who stops waiting may wait again.
    pub(crate) async fn bytes(&mut self) -> Option<Result<Bytes>> {
        (&mut self.answer).await.ok()
    }
}
