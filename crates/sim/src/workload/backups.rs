use bucketdb::simulation::{backups_beside, builder_beside, place_beside};
use bucketdb::{Database, Error, Freshness, Point, Seq};

use crate::workload::client::Client;
use crate::workload::{Outcome, Read};

/// Where backups of the database are.
pub(crate) const BACKUP_PREFIX: &str = "backup";

/// What the places begin with to which backups are restored.
pub(crate) const RESTORED_PREFIX: &str = "restored-";

impl Client {
    /// Makes a backup, or restores one and looks at it.
    pub(super) async fn back_up(&mut self) {
        if self.random.chance(0.6) { self.make_backup().await } else { self.restore().await }
    }

    async fn make_backup(&mut self) {
        let db = self.tables.db.clone();
        let token = self.begin(Freshness::Strict, "back up".to_owned(), Vec::new());
        let outcome = match db.backup(&place_beside(&db, BACKUP_PREFIX), |_| ()).await {
            Ok(report) => {
                self.settings.beside.lock().backups.insert(report.seq);
                Outcome::Ok(None)
            }
            Err(error) => self.settled(&error).await,
        };
        self.recorder.end(token, Vec::new(), outcome);
    }

    async fn restore(&mut self) {
        let db = self.tables.db.clone();
        let token = self.begin(Freshness::Local, "restore a backup".to_owned(), Vec::new());
        let (reads, outcome) = match self.look_at_restored(&db, &format!("{RESTORED_PREFIX}{token}")).await {
            Ok(None) => (Vec::new(), Outcome::Ok(None)),
            Ok(Some((seq, reads))) => {
                self.recorder.read_at(token, seq);
                (reads, Outcome::Ok(None))
            }
            Err(error) => (Vec::new(), self.settled(&error).await),
        };
        self.recorder.end(token, reads, outcome);
    }

    /// What one of the backups shows, and its position.
    async fn look_at_restored(&mut self, db: &Database, prefix: &str) -> Result<Option<(Seq, Vec<Read>)>, Error> {
        let (one, two) = (self.key(), self.key());
        let backups = backups_beside(db, BACKUP_PREFIX)?;
        let moments = backups.moments().await?;
        let Some(moment) = self.random.pick(&moments) else { return Ok(None) };
        let restored = builder_beside(db, prefix).restore(&backups, Some(Point::Seq(moment.seq)), |_| ()).await;
        let (copy, report) = restored?;
        let reads = self.reads_of(&copy.snapshot().await?, one, two).await?;
        let _ = copy.close().await;
        Ok(Some((report.seq, reads)))
    }
}
