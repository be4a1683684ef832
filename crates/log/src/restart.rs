use crate::prove::newest_run;
use crate::shared::{Applied, Shared};
use crate::start::Start;
use crate::{LogError, Result, Seq, StateMachine, head};

impl<M: StateMachine> Shared<M> {
    /// For whoever stood still while the records that it needs next were removed: goes on from the newest checkpoint, if
    /// there is one that covers more than what is applied. Tells whether it did; then the window is open.
    pub(crate) async fn start_again(&self) -> Result<bool> {
        let Some(mut machine) = self.applied.read().machine.fresh() else { return Ok(false) };
        let sent = self.now();
        let Some(start) = self.find_start().await? else { return Ok(false) };
        let Start { database, checkpoint, manifest, records, tail } = start;
        if database != self.checksums.database() {
            // Another one was created in its place, long ago.
            return Err(self.dropped(self.seq().next()));
        }
        if manifest.state.seq <= self.seq() {
            return Ok(false);
        }
        self.check_kinds(&tail)?;
        self.check_names(&tail)?;
        machine.begin(database);
        machine.load(manifest.state.seq, manifest.saved).map_err(|error| LogError::Damaged {
            object: self.object(&checkpoint.manifest),
            detail: error.to_string(),
        })?;
        let seq = manifest.state.seq;
        {
            let mut applied = self.applied.write();
            // A reader beside this one may have done the same.
            if seq <= applied.seq {
                return Ok(true);
            }
            let session = applied.session;
            let next = Applied::new(manifest.state, machine, self.env.monotonic());
            *applied = Applied { session, begun_at: checkpoint.seq, ..next };
            self.recent.lock().clear();
        }
        tracing::warn!(%seq, "stood still for so long that records are gone: went on from a checkpoint");
        self.position.send_modify(|position| *position = seq.max(*position));
        records.into_iter().try_for_each(|stored| self.apply(stored).map(|_| ()))?;
        self.replay(tail).await?;
        self.window.proved(sent);
        Ok(true)
    }

    async fn find_start(&self) -> Result<Option<Start>> {
        let source = self.source();
        if self.has_head()
            && let Some(head) = head::read(&source).await?.head
            && let Some(start) = source.start_from_head(&head).await?
        {
            return Ok(Some(start));
        }
        let names = source.list_records(Some(Seq::FIRST)).await?;
        match source.start_from_run(newest_run(&names)).await {
            // Something else is wrong with it, and somebody else will say so.
            Err(LogError::Missing { .. }) => Ok(None),
            outcome => outcome,
        }
    }
}
