//! Databases that are at one place one after the other, since each is dropped.

use std::collections::{BTreeMap, BTreeSet};

use bucketdb::simulation::{builder_beside, database_id};
use bucketdb::{Database, Error, Freshness, LogError, Seq};
use serde_json::{Value, json};

use crate::cluster::QUICK_CHECK;
use crate::workload::client::Client;
use crate::workload::{Outcome, Token};

/// Where they are.
pub(crate) const SUCCESSORS_PREFIX: &str = "successors";

/// The only table that they have.
pub(crate) const SUCCESSORS_TABLE: &str = "own";

/// What was acknowledged of what is beside the database.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// The moments of backups.
    pub(crate) backups: BTreeSet<Seq>,
    /// The documents of each of the databases, by its id, and who wrote them.
    pub(crate) written: BTreeMap<String, BTreeMap<String, Token>>,
    /// Those that were dropped.
    pub(crate) dropped: BTreeSet<String>,
    /// Whether anybody tried to drop one.
    pub(crate) may_be_dropped: bool,
}

impl Client {
    /// Writes to the database that is there now, reads all of it, or drops it.
    pub(super) async fn succeed(&mut self) {
        match self.random.below(12) {
            0 => self.drop_it().await,
            1 => self.drop_whatever_is_there().await,
            // The next time, it is opened again.
            2 => self.successor = None,
            3..7 => self.read_it().await,
            _ => self.write_it().await,
        }
    }

    /// The database that was opened last, as long as nothing was wrong with it.
    async fn successor(&mut self) -> Result<Database, Error> {
        if let Some(db) = &self.successor {
            return Ok(db.clone());
        }
        let builder = builder_beside(&self.tables.db, SUCCESSORS_PREFIX).create(true).store_check(QUICK_CHECK);
        let db = self.settings.grace.into_iter().fold(builder, bucketdb::DatabaseBuilder::grace).open().await?;
        self.successor = Some(db.clone());
        Ok(db)
    }

    fn end_it(&mut self, token: Token, outcome: Result<Option<String>, Error>) {
        let outcome = match outcome {
            Ok(None) => Outcome::Ok(None),
            Ok(Some(broken)) => Outcome::Broken(broken),
            Err(error) => {
                let is_over = matches!(error, Error::Log(LogError::Dropped { .. } | LogError::FellBehind { .. }));
                if is_over || self.random.chance(0.3) {
                    self.successor = None;
                }
                Outcome::of_error(&error)
            }
        };
        self.recorder.end(token, Vec::new(), outcome);
    }

    /// Whether it was known to be dropped when an operation began.
    fn is_dropped(&self, id: &str) -> bool {
        self.settings.beside.lock().dropped.contains(id)
    }

    async fn write_it(&mut self) {
        let token = self.begin(Freshness::Local, "write to what is there".to_owned(), Vec::new());
        let outcome = self.try_write(token).await;
        self.end_it(token, outcome);
    }

    async fn try_write(&mut self, token: Token) -> Result<Option<String>, Error> {
        let db = self.successor().await?;
        let id = database_id(&db).to_string();
        let was_dropped = self.is_dropped(&id);
        let document = format!("client {}", self.caller.client);
        let table = db.collection(SUCCESSORS_TABLE);
        table.put(&json!({"id": document, "token": token, "database": id})).await?;
        if was_dropped {
            return Ok(Some(format!("{id} was dropped, and took what #{token} wrote")));
        }
        self.settings.beside.lock().written.entry(id).or_default().insert(document, token);
        Ok(None)
    }

    async fn read_it(&mut self) {
        let token = self.begin(Freshness::Strict, "read what is there".to_owned(), Vec::new());
        let outcome = self.try_read().await;
        self.end_it(token, outcome);
    }

    async fn try_read(&mut self) -> Result<Option<String>, Error> {
        let db = self.successor().await?;
        let id = database_id(&db).to_string();
        let was_dropped = self.is_dropped(&id);
        let written = self.settings.beside.lock().written.get(&id).cloned().unwrap_or_default();
        let wrong = wrong_with(&db, &written).await?;
        Ok(if was_dropped { Some(format!("{id} was dropped, and is read")) } else { wrong })
    }

    async fn drop_it(&mut self) {
        let token = self.begin(Freshness::Strict, "drop it".to_owned(), Vec::new());
        self.settings.beside.lock().may_be_dropped = true;
        let outcome = self.try_drop().await;
        self.end_it(token, outcome);
    }

    async fn try_drop(&mut self) -> Result<Option<String>, Error> {
        let db = self.successor().await?;
        match db.drop_database(SUCCESSORS_PREFIX).await {
            Ok(_) | Err(Error::Log(LogError::Dropped { .. })) => {
                self.settings.beside.lock().dropped.insert(database_id(&db).to_string());
                // Whoever still has it is to try what that does.
                if self.random.chance(0.5) {
                    self.successor = None;
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// As somebody does that has not opened it, who may also wait until nothing is left.
    async fn drop_whatever_is_there(&mut self) {
        let waits = self.settings.grace.is_some() && self.random.chance(0.5);
        let token = self.begin(Freshness::Strict, format!("drop what is there, waiting {waits}"), Vec::new());
        self.settings.beside.lock().may_be_dropped = true;
        let dropped = builder_beside(&self.tables.db, SUCCESSORS_PREFIX).drop_database(SUCCESSORS_PREFIX, waits).await;
        let outcome = match dropped {
            Ok(_) | Err(Error::Log(LogError::NoDatabase { .. } | LogError::Dropped { .. })) => Ok(None),
            Err(error) => Err(error),
        };
        self.end_it(token, outcome);
    }
}

/// What is wrong with what a database has, of which these documents were acknowledged.
pub(crate) async fn wrong_with(db: &Database, written: &BTreeMap<String, Token>) -> Result<Option<String>, Error> {
    let id = database_id(db).to_string();
    let found = db.collection(SUCCESSORS_TABLE).with_freshness(Freshness::Strict).query().fetch().await?;
    if let Some(other) = found.iter().find(|document| document.get("database") != Some(&json!(id))) {
        return Ok(Some(format!("{id} has {other}")));
    }
    let token_of = |document: &String| {
        let found = found.iter().find(|found| found.get("id") == Some(&json!(document)))?;
        found.get("token").and_then(Value::as_u64)
    };
    // What its writer never had an answer to may have come later.
    let lost = written.iter().find(|(document, token)| token_of(document).is_none_or(|found| found < **token));
    Ok(lost.map(|(document, token)| format!("{id} lacks what #{token} wrote to {document:?}")))
}
