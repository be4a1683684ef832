use std::cell::Cell;
use std::error::Error;
use std::ops::AsyncFn;
use std::time::Duration;

use bucketdb::{Database, Environment, TokioEnvironment};
use tokio::io::AsyncReadExt;

use crate::client::Client;
use crate::{Arguments, WorkloadArguments};

/// So many clients has one life of a worker at most, one beginning where another one lost sight of its transaction.
const CLIENTS_PER_WORKER: u64 = 1_000_000;

/// So many values does one life of a worker write at most.
const VALUES_PER_WORKER: u64 = 100_000_000;

/// A pause is at most so long: about as long as a commit takes on a fast store.
const MOST_PAUSE: Duration = Duration::from_millis(3);

/// Requests that were given up keep a slow store busy: so long it is left alone before the database is opened once more.
const PAUSE_OF_OPENING: Duration = Duration::from_millis(100);

/// What the clients of one life of a worker share.
pub(crate) struct Session {
    pub(crate) db: Database,
    pub(crate) env: TokioEnvironment,
    /// Whether clients go without transactions, to show that this is noticed.
    pub(crate) is_weak: bool,
    next_client: Cell<u64>,
    next_value: Cell<u64>,
    is_over: Cell<bool>,
}

impl Session {
    /// Opens the database, and lets three clients work at the same time until the standard input is closed.
    pub(crate) async fn run<W>(
        arguments: &Arguments,
        workload: WorkloadArguments,
        work: W,
    ) -> Result<(), Box<dyn Error>>
    where
        W: AsyncFn(&Self, Client<'_>) -> Result<(), Box<dyn Error>>,
    {
        let env = TokioEnvironment::new();
        let mut end_of_input = std::pin::pin!(end_of_input());
        let db = tokio::select! {
            opened = open_at_last(arguments, &env) => opened?,
            // Where hardly a request is in time, it may take for ever.
            ended = &mut end_of_input => return ended,
        };
        let session = Self {
            db,
            env,
            is_weak: workload.weak,
            next_client: Cell::new(workload.worker * CLIENTS_PER_WORKER),
            next_value: Cell::new(workload.worker * VALUES_PER_WORKER),
            is_over: Cell::new(false),
        };
        let end = async {
            end_of_input.await?;
            session.is_over.set(true);
            Ok(())
        };
        let client = || work(&session, Client::new(&session));
        tokio::try_join!(client(), client(), client(), end)?;
        match session.db.close().await {
            // Somebody's commit is still under way, of whose outcome its client has said that it is unknown.
            Err(error) if error.is_retryable() => Ok(()),
            closed => Ok(closed?),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// The number of a client that never was before.
    pub(crate) fn new_client(&self) -> u64 {
        next(&self.next_client)
    }

    /// A value that was never written before.
    pub(crate) fn new_value(&self) -> u64 {
        next(&self.next_value)
    }

    /// Nanoseconds of a clock that all processes of this machine share.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.env.monotonic().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A number below `bound`; zero if there is none.
    pub(crate) fn random_below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.env.fill_random(&mut bytes);
        u64::from_le_bytes(bytes).checked_rem(bound).unwrap_or(0)
    }

    /// True so often of a hundred times.
    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.random_below(100) < percent
    }

    /// Lets others get between two operations of a transaction, most often only those of this process.
    pub(crate) async fn pause(&self) {
        if self.chance(80) {
            tokio::task::yield_now().await;
        } else {
            self.env.sleep(MOST_PAUSE.mul_f64(self.random_below(100) as f64 / 100.0)).await;
        }
    }
}

fn next(counter: &Cell<u64>) -> u64 {
    let next = counter.get();
    counter.set(next + 1);
    next
}

pub(crate) async fn end_of_input() -> Result<(), Box<dyn Error>> {
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// Works until the standard input is closed, or until the work is over.
pub(crate) async fn until_end_of_input(
    work: impl Future<Output = Result<(), Box<dyn Error>>>,
) -> Result<(), Box<dyn Error>> {
    tokio::select! {
        outcome = work => outcome,
        ended = end_of_input() => ended,
    }
}

/// A worker that was stopped while it opened the database finds that its requests took too long.
async fn open_at_last(arguments: &Arguments, env: &TokioEnvironment) -> bucketdb::Result<Database> {
    loop {
        match arguments.open().await {
            Err(error) if error.is_retryable() => env.sleep(PAUSE_OF_OPENING).await,
            outcome => return outcome,
        }
    }
}
