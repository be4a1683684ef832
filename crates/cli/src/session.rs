use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bucketdb::{Database, DatabaseBuilder, Environment, MeteredDriver, Place, TokioEnvironment, Usage};
use futures::future::{self, Either};

use crate::arguments::Global;
use crate::failure::Failure;
use crate::keys;

/// How long a store that has not answered anything is waited for.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(12);

/// How long a commit is waited for before its outcome counts as unknown.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);

/// What a command is going to do with the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read only: credentials that may not write are enough.
    Read,
    /// Change what is there.
    Change,
    /// Write, into a new database if there is none.
    Create,
}

/// A store and a prefix in it, with a meter on what is asked of it.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) meter: MeteredDriver,
    pub(crate) prefix: String,
    pub(crate) env: Arc<dyn Environment>,
}

impl Store {
    /// The store that the arguments name.
    pub(crate) async fn of(global: &Global, access: Access) -> Result<Self, Failure> {
        let url = global.db.as_deref().filter(|url| !url.is_empty()).ok_or_else(|| {
            Failure::usage(
                "no database was named: give --db URL or set BUCKETDB_URL, such as file:my-data or s3://bucket/prefix",
            )
        })?;
        Self::at(url, global.prefix.as_deref(), access).await
    }

    /// The store at a URL.
    pub(crate) async fn at(url: &str, prefix: Option<&str>, access: Access) -> Result<Self, Failure> {
        let env: Arc<dyn Environment> = Arc::new(TokioEnvironment::new());
        let parsed = async {
            match access {
                Access::Create => Place::parse(url).await,
                Access::Read | Access::Change => Place::parse_existing(url).await,
            }
        };
        let place = match future::select(pin!(parsed), env.sleep(FIRST_ANSWER_TIMEOUT)).await {
            Either::Left((place, _)) => place?,
            Either::Right(((), _)) => return Err(no_answer("the store")),
        };
        let prefix = match prefix.filter(|prefix| !prefix.is_empty()) {
            Some(prefix) if !place.prefix().is_empty() => {
                let message = format!("the URL names the prefix {:?}, and --prefix {prefix:?} another", place.prefix());
                return Err(Failure::usage(message));
            }
            Some(prefix) => prefix.to_owned(),
            None => place.prefix().to_owned(),
        };
        Ok(Self { meter: MeteredDriver::shared(place.driver().clone(), env.clone()), prefix, env })
    }

    /// The store, which counts what is asked of it, and the prefix.
    pub(crate) fn place(&self) -> Place {
        Place::new(Arc::new(self.meter.clone()), &*self.prefix)
    }

    /// Both, for people.
    pub(crate) fn describe(&self) -> String {
        self.place().describe()
    }

    /// Opens the database.
    pub(crate) async fn open(&self, global: &Global, access: Access) -> Result<Database, Failure> {
        Ok(self.open_database(global, access).await??)
    }

    /// Opens the database, for those who want to know what is wrong with it if it cannot be opened.
    ///
    /// # Errors
    /// If the store does not answer.
    pub(crate) async fn open_database(
        &self,
        global: &Global,
        access: Access,
    ) -> Result<Result<Database, bucketdb::Error>, Failure> {
        let opening = Box::pin(self.builder(global, access)?.open());
        match future::select(opening, pin!(self.stay_unanswered())).await {
            Either::Left((database, _)) => Ok(database),
            Either::Right(((), _)) => Err(no_answer(&self.describe())),
        }
    }

    /// What opens the database as the arguments say.
    pub(crate) fn builder(&self, global: &Global, access: Access) -> Result<DatabaseBuilder, Failure> {
        let mut builder = Database::builder()
            .shared_driver(Arc::new(self.meter.clone()))
            .prefix(&self.prefix)
            .node_id(global.node_id)
            .commit_timeout(COMMIT_TIMEOUT)
            .read_only(access == Access::Read)
            .create(access == Access::Create);
        if let Some(path) = global.branch.as_deref().filter(|path| !path.is_empty()) {
            builder = builder.branch(path);
        }
        if let Some(ring_size) = global.ring_size {
            builder = builder.ring_size(ring_size);
        }
        if let Some(max_memory) = global.max_memory {
            builder = builder.max_memory(max_memory);
        }
        if let Some(folder) = &global.cache_dir {
            builder = builder.cache_dir(folder, global.cache_size);
        }
        if let Some(keys) = keys::of(global)? {
            builder = builder.encryption(keys);
        }
        if let Some(Some(history)) = global.history {
            builder = builder.history(history);
        }
        Ok(builder)
    }

    /// Completes if the store has not answered anything in time; never if it has. A store that answers may take its
    /// time: a long log takes long to read.
    async fn stay_unanswered(&self) {
        self.env.sleep(FIRST_ANSWER_TIMEOUT).await;
        if self.meter.usage().iter().any(|(_, used)| used.latency.quantile(0.0).is_some()) {
            future::pending::<()>().await;
        }
    }

    /// What was asked of the store since an earlier reading of the meter.
    pub(crate) fn used_since(&self, before: &Usage) -> Usage {
        self.meter.usage() - before.clone()
    }
}

fn no_answer(place: &str) -> Failure {
    let seconds = FIRST_ANSWER_TIMEOUT.as_secs();
    Failure::unreachable(format!("{place} gave no answer within {seconds} s: is the address right, is the network up?"))
}

/// Opens the database that the arguments name.
pub(crate) async fn open(global: &Global, access: Access) -> Result<(Database, Store), Failure> {
    // Wrong options should not leave a new folder behind.
    check_options(global)?;
    let store = Store::of(global, access).await?;
    let database = store.open(global, access).await?;
    Ok((database, store))
}

/// Refuses options that no database can have, before anything is touched.
pub(crate) fn check_options(global: &Global) -> Result<(), Failure> {
    if global.node_id > 255 {
        return Err(Failure::usage(format!("--node-id {} is out of range: node ids are 0 to 255", global.node_id)));
    }
    keys::of(global)?;
    match global.ring_size {
        Some(ring_size) if !(1..=256).contains(&ring_size) => {
            Err(Failure::usage(format!("--ring-size {ring_size} is not between 1 and 256")))
        }
        _ => Ok(()),
    }
}
