use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;

use crate::Result;
use crate::cache::{Part, PartId};

/// A read that many may wait for. Whoever waits drives it; once nobody does, it is dropped.
pub(crate) type Flight = Shared<BoxFuture<'static, Result<Part>>>;

type WeakFlight = WeakShared<BoxFuture<'static, Result<Part>>>;

/// The reads that are under way, so that nothing is read twice at the same moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flights {
    under_way: Arc<Mutex<UnderWay>>,
}

#[derive(Debug, Default)]
struct UnderWay {
    flights: HashMap<PartId, (u64, WeakFlight)>,
    begun: u64,
}

impl Flights {
    /// The read of `id` that is under way, if there is one.
    pub(crate) fn find(&self, id: PartId) -> Option<Flight> {
        self.under_way.lock().flights.get(&id)?.1.upgrade()
    }

    /// The read of `id` that is under way, or else `read`.
    pub(crate) fn join(&self, id: PartId, read: impl Future<Output = Result<Part>> + Send + 'static) -> Flight {
        let mut under_way = self.under_way.lock();
        if let Some(flight) = under_way.flights.get(&id).and_then(|(_, flight)| flight.upgrade()) {
            // `read` was not begun, so dropping it under the lock runs nothing of ours.
            return flight;
        }
        under_way.begun += 1;
        let number = under_way.begun;
        let landing = Landing { flights: self.clone(), id, number };
        let flight = async move {
            let _landing = landing;
            read.await
        };
        let flight = flight.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            under_way.flights.insert(id, (number, weak));
        }
        flight
    }
}

/// Strikes a read off the list when it has ended, or was given up by all who waited.
struct Landing {
    flights: Flights,
    id: PartId,
    number: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way.lock();
        if under_way.flights.get(&self.id).is_some_and(|(number, _)| *number == self.number) {
            under_way.flights.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::channel::oneshot;

    use super::*;
    use crate::RunError;

    const ID: PartId = PartId { run: 1, offset: 2 };

    /// A gate that nobody will open: who waits at it goes on at once.
    fn closed() -> oneshot::Receiver<()> {
        oneshot::channel().1
    }

    fn failing(reads: &Arc<AtomicU32>, gate: oneshot::Receiver<()>) -> impl Future<Output = Result<Part>> + use<> {
        let reads = Arc::clone(reads);
        async move {
            reads.fetch_add(1, Ordering::Relaxed);
            let _ = gate.await;
            Err(RunError::OutOfOrder)
        }
    }

    #[tokio::test]
    async fn those_who_wait_together_share_one_read_and_its_error() {
        let (flights, reads) = (Flights::default(), Arc::new(AtomicU32::new(0)));
        let (open, gate) = oneshot::channel();
        let first = flights.join(ID, failing(&reads, gate));
        let second = flights.join(ID, failing(&reads, closed()));
        open.send(()).unwrap();
        let (first, second) = futures::join!(first, second);
        assert!(first.is_err() && second.is_err());
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        assert!(flights.under_way.lock().flights.is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_read_to_the_others() {
        let (flights, reads) = (Flights::default(), Arc::new(AtomicU32::new(0)));
        let (open, gate) = oneshot::channel();
        let mut first = flights.join(ID, failing(&reads, gate));
        let second = flights.join(ID, failing(&reads, closed()));
        assert!(futures::poll!(&mut first).is_pending());
        let mut second = second;
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        open.send(()).unwrap();
        assert!(second.await.is_err());
        assert_eq!(reads.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_read_that_all_gave_up_is_begun_anew() {
        let (flights, reads) = (Flights::default(), Arc::new(AtomicU32::new(0)));
        let (_open, gate) = oneshot::channel();
        let mut given_up = flights.join(ID, failing(&reads, gate));
        assert!(futures::poll!(&mut given_up).is_pending());
        drop(given_up);
        assert!(flights.under_way.lock().flights.is_empty());
        assert!(flights.join(ID, failing(&reads, closed())).await.is_err());
        assert_eq!(reads.load(Ordering::Relaxed), 2);
    }
}
