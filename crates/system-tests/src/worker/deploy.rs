use std::error::Error;

use bucketdb::{Database, Error as DatabaseError, Table};
use bucketdb_system_tests::{Line, Profile, profile_of};

use crate::session::until_end_of_input;
use crate::{Arguments, say, with_sources};

/// Does one operation on the profiles after the other until the standard input is closed, and says when each begins and when
/// it is acknowledged; or until this version of the program is refused, and says that.
pub(crate) async fn deploy<P: Profile>(arguments: &Arguments, worker: u32) -> Result<(), Box<dyn Error>> {
    let work = async {
        let db = arguments.open().await?;
        let profiles = db.table::<P>().await?;
        say(&Line::Opened(db.stats()?.database.to_string()))?;
        for operation in 1.. {
            say(&Line::Doing(operation))?;
            execute(&db, &profiles, worker, operation).await?;
            say(&Line::Done(operation))?;
            look_up(&profiles, worker, operation).await?;
        }
        Ok::<(), Box<dyn Error>>(())
    };
    let refused_or_not = async {
        match work.await {
            Err(error) if is_outdated(&*error) => {
                say(&Line::Failed { id: worker.to_string(), reason: with_sources(&*error) })?;
                Ok(())
            }
            outcome => outcome,
        }
    };
    until_end_of_input(refused_or_not).await
}

fn is_outdated(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(DatabaseError::OutdatedSchema { .. }))
}

/// In one of the ways in which a program changes a document.
async fn execute<P: Profile>(
    db: &Database,
    profiles: &Table<P>,
    worker: u32,
    operation: u64,
) -> Result<(), DatabaseError> {
    let id = profile_of(worker, operation);
    // Whoever says that a change failed vouches for it that it is not there; of one whose outcome is unknown, nobody does.
    let mut may_be_there = false;
    loop {
        let take = |profile: &mut P| {
            if !may_be_there || profile.last_of(worker) < operation {
                profile.take(worker, operation);
            }
        };
        let outcome = match operation % 3 {
            0 => match profiles.query().keys(id..=id).update(take).await {
                Ok(0) => put(db, id, take).await,
                outcome => outcome.map(drop),
            },
            1 => match profiles.update(id, take).await {
                Err(DatabaseError::NotFound { .. }) => put(db, id, take).await,
                outcome => outcome.map(drop),
            },
            _ => put(db, id, take).await,
        };
        match outcome {
            Err(DatabaseError::CommitOutcomeUnknown { .. }) => may_be_there = true,
            Err(error) if error.is_retryable() => {}
            outcome => return outcome,
        }
    }
}

/// Reads it, and writes all of it that this version of the program knows.
async fn put<P: Profile>(db: &Database, id: u32, take: impl Fn(&mut P) + Send + Sync) -> Result<(), DatabaseError> {
    db.transact(async |tx| {
        let mut profile = tx.get::<P>(id).await?.unwrap_or_else(|| P::empty(id));
        take(&mut profile);
        tx.put(&profile)
    })
    .await
}

/// By the index, under the name that this version of the program has for the field.
async fn look_up<P: Profile>(profiles: &Table<P>, worker: u32, operation: u64) -> Result<(), Box<dyn Error>> {
    let name = format!("{worker}/{operation}");
    let found: Vec<P> = profiles.query().filter(P::named(&name)).fetch().await?;
    let is_it = |profile: &P| {
        profile.name() == name && profile.key() == profile_of(worker, operation) && profile.last_of(worker) == operation
    };
    // Somebody may have written to it since.
    match found.as_slice() {
        [] => Ok(()),
        [profile] if is_it(profile) => Ok(()),
        _ => Err(format!("{} documents are called {name:?}, or another one", found.len()).into()),
    }
}
