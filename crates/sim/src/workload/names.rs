use bucketdb::{Error, Freshness, Seq, Snapshot};

use crate::workload::client::Client;
use crate::workload::documents::{Half, List, Register};
use crate::workload::{Outcome, Read, Seen};

/// So many names there are for positions of the log.
const NAMES: u64 = 3;

impl Client {
    /// Gives the present a name, takes one away, or reads by one.
    pub(super) async fn named(&mut self) {
        let name = format!("n{}", self.random.below(NAMES));
        let what = self.random.below(10);
        let db = self.tables.db.clone();
        if what >= 5 {
            return self.read_named(&name).await;
        }
        let (verb, freshness) = (if what < 3 { "create" } else { "drop" }, Freshness::Strict);
        let token = self.begin(freshness, format!("{verb} snapshot {name}"), Vec::new());
        let changed = match what < 3 {
            true => db.create_snapshot(&name).await.map(|_| ()),
            false => db.drop_snapshot(&name).await,
        };
        let outcome = match changed {
            Ok(()) | Err(Error::SnapshotExists { .. } | Error::UnknownSnapshot { .. }) => Outcome::Ok(None),
            Err(error) => Outcome::of_error(&error),
        };
        self.recorder.end(token, Vec::new(), outcome);
    }

    async fn read_named(&mut self, name: &str) {
        let (one, two) = (self.key(), self.key());
        let token = self.begin(Freshness::Local, format!("read snapshot {name}"), Vec::new());
        let before = self.position_of(name).await;
        let read = async {
            let snapshot = self.tables.db.at(name).await?;
            Ok::<_, Error>((snapshot.position(), self.reads_of(&snapshot, one, two).await?))
        };
        match read.await {
            Ok((position, reads)) => {
                self.recorder.read_at(token, position);
                self.recorder.end(token, reads, Outcome::Ok(None));
            }
            Err(Error::UnknownSnapshot { .. }) => self.recorder.end(token, Vec::new(), Outcome::Ok(None)),
            Err(error @ Error::SnapshotExpired { .. }) => {
                // That is an answer only if the name was taken away meanwhile.
                let is_there = before.is_some() && before == self.position_of(name).await;
                let outcome = match is_there {
                    true => Outcome::Broken(format!("snapshot {name} cannot be read: {error}")),
                    false => Outcome::of_error(&error),
                };
                self.recorder.end(token, Vec::new(), outcome);
            }
            Err(error) => {
                let outcome = self.settled(&error).await;
                self.recorder.end(token, Vec::new(), outcome);
            }
        }
    }

    /// Where a name is, as the log says now; `None` if there is none, or if the store does not say.
    async fn position_of(&self, name: &str) -> Option<Seq> {
        let db = &self.tables.db;
        db.refresh(Freshness::Strict).await.ok()?;
        db.snapshots().await.ok()?.into_iter().find(|snapshot| snapshot.name == name).map(|snapshot| snapshot.seq)
    }

    /// A list, a register and all halves.
    pub(super) async fn reads_of(&self, snapshot: &Snapshot, one: String, two: String) -> Result<Vec<Read>, Error> {
        let list = snapshot.get::<List>(one.as_str()).await?.map(|list| list.token);
        let register = snapshot.get::<Register>(two.as_str()).await?.map(|register| register.token);
        let halves: Vec<Half> = snapshot.table::<Half>()?.query().fetch().await?;
        let halves = halves.into_iter().map(|half| ("halves", half.key, Some(half.token)));
        let reads = [("lists", one, list), ("registers", two, register)].into_iter().chain(halves);
        Ok(reads
            .map(|(table, key, token)| Read { table, key, seen: token.map_or(Seen::Absent, Seen::Token) })
            .collect())
    }
}
