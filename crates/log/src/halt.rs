use bucketdb_driver::Condition;
use bucketdb_env::{Environment, Random};
use bytes::Bytes;

use crate::shared::Shared;
use crate::{Entry, Layout, LogError, Record, RecordKind, Result, Seq, SessionId, SlotNames, StateMachine, format};

/// How often the record that stops the log is offered while busy writers take its position.
const HALT_ATTEMPTS: u32 = 10;

impl<M: StateMachine> Shared<M> {
    /// Tells the other nodes that the log is broken, so that they stop too, by a record behind what they see as its
    /// end. They may not find out by themselves: for the writer whose records survived, the chain is whole, and one that
    /// has gone on from a fork does not look back at it.
    ///
    /// This is an effort, not a promise: what went wrong is a store that does not keep promises. Whoever mends the log
    /// deletes the record: nothing is ever written behind it.
    pub(crate) async fn raise_halt(&self, found: &LogError) {
        let is_news = match (found, self.names) {
            (LogError::BrokenChain { .. }, names) => names == SlotNames::Shared,
            (LogError::Forked { .. }, names) => names == SlotNames::PerSession,
            _ => false,
        };
        if self.read_only || !is_news {
            return;
        }
        for _ in 0..HALT_ATTEMPTS {
            match self.try_raise_halt(found).await {
                Ok(()) => return,
                Err(LogError::Driver(error)) if error.is_precondition_failed() => {}
                Err(error) => {
                    tracing::warn!(%error, "the other nodes could not be told that the log is broken");
                    return;
                }
            }
        }
        tracing::warn!("the other nodes could not be told that the log is broken: they write too fast");
    }

    async fn try_raise_halt(&self, found: &LogError) -> Result<()> {
        let names = self.list_from(Seq::FIRST).await?;
        let Some(last) = names.last() else { return Ok(()) };
        if matches!(found, LogError::Forked { seq, .. } if *seq >= last.seq) {
            // Everybody looks at the last position before going on from it.
            return Ok(());
        }
        let Some(bytes) = self.fetch(&last.name).await? else { return Ok(()) };
        let last = self.decode(last.seq, &last.name, &bytes)?;
        if last.record.kind == RecordKind::Halt {
            return Ok(());
        }
        let seq = last.record.seq.next();
        let session = SessionId(self.env.random_128());
        let payload = Bytes::from(format!("node {} found that {found}", self.node.0));
        let record = Record {
            kind: RecordKind::Halt,
            seq,
            time: last.record.time.tick(self.env.wall_clock().0),
            node: self.node,
            session,
            previous: last.hash,
            entries: vec![Entry { counter: 0, payload }],
        };
        let name = Layout::record_name(self.names, seq, session);
        let bytes = format::encode(&record, &name, &self.checksums);
        let condition = match self.names {
            SlotNames::Shared => Condition::IfAbsent,
            SlotNames::PerSession => Condition::Always,
        };
        self.store.put(&self.layout.key(&name), bytes, condition).await?;
        Ok(())
    }
}
