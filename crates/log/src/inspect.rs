use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};

use crate::head::{self, Head};
use crate::manifest::Manifest;
use crate::stretch::{self, Stretch};
use crate::{ChainHash, Log, LogError, Result, Seq, StateMachine, format};

/// How many records are read ahead when all of them are checked.
const READ_AHEAD: usize = 32;

impl<M: StateMachine> Log<M> {
    /// What the state machine saved for a checkpoint that is kept, by the name and the hash of its manifest. One get.
    ///
    /// # Errors
    /// If the store fails, or if the manifest is damaged or gone.
    pub async fn manifest(&self, name: &str, hash: ChainHash) -> Result<Bytes> {
        let object = self.shared.object(name);
        let Some(bytes) = self.shared.source().fetch(name).await? else {
            let detail = "it is the manifest of a checkpoint that is kept".to_owned();
            return Err(LogError::Missing { object, detail });
        };
        if format::chain_hash(&bytes) != hash {
            let detail = "it is not the manifest that the record of its checkpoint names".to_owned();
            return Err(LogError::Damaged { object, detail });
        }
        let manifest = Manifest::decode(&bytes, name).map_err(|error| LogError::of_format(object, error))?;
        Ok(manifest.saved)
    }

    /// Reads `head` once more, if there is to be one, and checks it. That it lags behind, or is missing, is no error. One
    /// get.
    ///
    /// # Errors
    /// If the store fails, or if it is damaged.
    pub async fn check_head(&self) -> Result<()> {
        if !self.shared.has_head() {
            return Ok(());
        }
        let Some(bytes) = self.shared.source().fetch(head::NAME).await? else { return Ok(()) };
        let object = self.shared.object(head::NAME);
        let found = Head::decode(&bytes).map_err(|error| LogError::of_format(object.clone(), error))?;
        if found.database == self.database() {
            return Ok(());
        }
        Err(LogError::Damaged { object, detail: "it is of another database".to_owned() })
    }

    /// Reads the records from `first` to `last` once more, each from its own object, and checks each by itself and
    /// against the one before it. What is wrong with one does not end it.
    pub fn check_records(&self, first: Seq, last: Seq) -> impl Stream<Item = Result<()>> + Send {
        let records = stream::iter(first.0..=last.0).map(|seq| self.check_record(Seq(seq))).buffered(READ_AHEAD);
        records.scan(None, |before: &mut Option<ChainHash>, record| {
            let checked = record.and_then(|(object, previous, hash)| {
                let is_continued = before.is_none_or(|before| before == previous);
                *before = Some(hash);
                if is_continued { Ok(()) } else { Err(LogError::BrokenChain { object }) }
            });
            if checked.is_err() {
                *before = before.filter(|_| matches!(checked, Err(LogError::BrokenChain { .. })));
            }
            futures::future::ready(Some(checked))
        })
    }

    async fn check_record(&self, seq: Seq) -> Result<(String, ChainHash, ChainHash)> {
        let stored = self.shared.fetch_own_object(seq).await?;
        Ok((self.shared.object(&stored.name), stored.record.previous, stored.hash))
    }

    /// Whether the record at a position can be read: it was not given up, or it is spared.
    #[must_use]
    pub fn keeps(&self, seq: Seq) -> bool {
        let applied = self.shared.applied.read();
        seq >= applied.floor || applied.upkeep.spares(seq)
    }

    /// The records below the floor that are kept, in order.
    #[must_use]
    pub fn spared(&self) -> Vec<Stretch> {
        let applied = self.shared.applied.read();
        stretch::without(&applied.upkeep.spared, &[], applied.floor)
    }

    /// Whether this process wrote the last record.
    #[must_use]
    pub fn wrote_last(&self) -> bool {
        let applied = self.shared.applied.read();
        applied.last_of_session == Some(applied.hash)
    }

    /// Whether it was made sure lately enough where the log ends, so that nothing is removed that this state refers to.
    #[must_use]
    pub fn is_in_step(&self) -> bool {
        self.shared.is_window_open()
    }

    /// Whether proposals are refused until there is a checkpoint.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let applied = self.shared.applied.read();
        M::MAKES_CHECKPOINTS && applied.tail.tail().is_over_hard(&applied.options.tail_limits)
    }

    /// Whether somebody closed it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.closing.load(Ordering::SeqCst)
    }
}
