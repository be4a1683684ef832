use bucketdb::simulation::{floor, open_branch};
use bucketdb::{Branch, Database, Error, Freshness, LogError, Seq};
use serde_json::json;

use crate::workload::client::Client;
use crate::workload::{Outcome, Read, Token};

/// So many names there are for branches.
const NAMES: u64 = 2;

/// A table that only branches have.
const OWN: &str = "own";

impl Client {
    /// Creates a branch, drops one, or looks at one, and writes something of its own there.
    pub(super) async fn branch(&mut self) {
        let name = format!("b{}", self.random.below(NAMES));
        match self.random.below(20) {
            0..5 => self.create_branch(&name).await,
            5 => self.drop_branch(&name).await,
            _ => self.visit_branch(&name).await,
        }
    }

    async fn create_branch(&mut self, name: &str) {
        let db = self.tables.db.clone();
        let (floor, position) = (floor(&db), db.position());
        let past = self.random.chance(0.3).then(|| Seq(self.random.between(floor.0.min(position.0), position.0)));
        let token = self.begin(Freshness::Strict, format!("create branch {name} at {past:?}"), Vec::new());
        let created = match past {
            None => db.create_branch(name).await,
            Some(seq) => db.create_branch_at(name, seq).await,
        };
        let outcome = match created {
            Ok(_)
            | Err(
                Error::BranchExists { .. }
                // Somebody dropped it before it was finished.
                | Error::UnknownBranch { .. }
                | Error::SnapshotExpired { .. }
                | Error::InvalidPoint { .. }
                | Error::InvalidBranch { .. },
            ) => Outcome::Ok(None),
            Err(error) => self.settled(&error).await,
        };
        self.recorder.end(token, Vec::new(), outcome);
    }

    async fn drop_branch(&mut self, name: &str) {
        let db = self.tables.db.clone();
        let token = self.begin(Freshness::Strict, format!("drop branch {name}"), Vec::new());
        let outcome = match db.drop_branch(name).await {
            Ok(_) | Err(Error::UnknownBranch { .. }) => Outcome::Ok(None),
            // Somebody else removed it meanwhile.
            Err(Error::Log(LogError::NoDatabase { .. })) => Outcome::Ok(None),
            Err(error) => self.settled(&error).await,
        };
        self.recorder.end(token, Vec::new(), outcome);
    }

    async fn visit_branch(&mut self, name: &str) {
        let db = self.tables.db.clone();
        let token = self.begin(Freshness::Local, format!("visit branch {name}"), Vec::new());
        let Some(found) = find(&db, name).await else {
            return self.recorder.end(token, Vec::new(), Outcome::Ok(None));
        };
        let visited = self.visit(&db, name, token).await;
        // Another one may have the name by now.
        let is_there = find(&db, name).await.as_ref() == Some(&found);
        let (reads, outcome) = match visited {
            _ if !is_there => (Vec::new(), Outcome::Ok(None)),
            Ok((_, Some(broken))) => (Vec::new(), Outcome::Broken(broken)),
            Ok((reads, None)) => {
                self.recorder.read_at(token, found.fork);
                (reads, Outcome::Ok(None))
            }
            Err(Error::Log(LogError::Missing { object, .. })) if is_shared(&object, found.fork) => {
                let broken = format!("branch {name} of {} lacks what its parent had: {object}", found.fork);
                (Vec::new(), Outcome::Broken(broken))
            }
            Err(
                error @ (Error::Log(LogError::Missing { .. } | LogError::Damaged { .. })
                | Error::SnapshotExpired { .. }),
            ) => (Vec::new(), Outcome::Broken(format!("branch {name} of {} cannot be read: {error}", found.fork))),
            Err(error) => {
                let is_unfinished =
                    matches!(error, Error::Log(LogError::NoDatabase { .. } | LogError::UnfinishedBranch { .. }));
                let outcome = self.settled(&error).await;
                self.recorder.end(token, Vec::new(), outcome);
                // Whoever was creating it may have been killed, or be about to end.
                if is_unfinished && self.random.chance(0.3) {
                    self.drop_branch(name).await;
                }
                return;
            }
        };
        self.recorder.end(token, reads, outcome);
    }

    /// What a branch shows of what its parent had, and what is wrong with what it has of its own.
    async fn visit(&mut self, db: &Database, name: &str, token: Token) -> Result<(Vec<Read>, Option<String>), Error> {
        let branch = open_branch(db, name).await?;
        let (one, two) = (self.key(), self.key());
        let reads = self.reads_of(&branch.snapshot().await?, one, two).await?;
        let own = branch.collection(OWN).with_freshness(Freshness::Strict);
        let id = format!("client {}", self.caller.client);
        own.put(&json!({"id": id, "token": token})).await?;
        match self.random.below(4) {
            0 => branch.checkpoint().await?,
            1 => _ = branch.compact().await?,
            2 => _ = branch.sweep().await?,
            _ => {}
        }
        branch.collect_garbage().await?;
        let found = own.get(&json!(id)).await?.map(|document| document.get("token").cloned());
        let is_ours = found == Some(Some(json!(token)));
        let broken = (!is_ours).then(|| format!("branch {name} has {found:?} of what #{token} wrote to it"));
        let _ = branch.close().await;
        Ok((reads, broken))
    }
}

/// The branch of a name, as the log says now; `None` if there is none, or if the store does not say.
async fn find(db: &Database, name: &str) -> Option<Branch> {
    db.refresh(Freshness::Strict).await.ok()?;
    db.branches().await.ok()?.into_iter().find(|branch| branch.name == name)
}

/// Whether an object that a branch reads is of its parent's: it is named by a position that they have in common.
fn is_shared(object: &str, fork: Seq) -> bool {
    let digits = object.rsplit('/').next().and_then(|name| name.get(..20));
    digits.and_then(|digits| digits.parse().ok()).is_some_and(|seq: u64| seq <= fork.0)
}
