use std::ops::ControlFlow;

use bucketdb_driver::{Driver, DriverError, ErrorKind, Operation};
use bucketdb_env::Environment;
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};

use crate::format::{self, Checksums, FormatError};
use crate::layout::RecordName;
use crate::replay::Stored;
use crate::{Layout, LogError, Result, Seq, SlotNames, reads};

/// The most groups of records that are fetched at the same time.
pub(crate) const MAX_FETCH_AHEAD: usize = 64;

/// So many records come in one object, where they are small.
pub(crate) const RECORDS_PER_GROUP: u64 = 4;

/// How often something that must be there is asked for before it is missing.
pub(crate) const HOLE_ATTEMPTS: u32 = 5;

/// Where the objects of a database are read from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) store: &'a dyn Driver,
    pub(crate) env: &'a dyn Environment,
    pub(crate) layout: &'a Layout,
    /// Whether every record is read from its own object, even if another one carries it.
    pub(crate) thorough: bool,
}

/// Whether the record at `seq` carries the one before it, where the newest checkpoint is at `base`.
pub(crate) fn carries(seq: Seq, base: Seq) -> bool {
    !seq.0.saturating_sub(base.0.saturating_add(1)).is_multiple_of(RECORDS_PER_GROUP)
}

impl Source<'_> {
    /// The full key of an object named relative to the database, for messages.
    pub(crate) fn object(&self, name: &str) -> String {
        format!("{}{name}", self.layout.prefix())
    }

    /// The bytes of an object named relative to the database; `None` if there is none. Passing faults are tried again.
    pub(crate) async fn fetch(&self, name: &str) -> Result<Option<Bytes>> {
        Ok(reads::get(self.store, self.env, &self.layout.key(name)).await?)
    }

    /// As [`fetch`](Self::fetch), for an object that must be there: it is asked for again while it is not.
    pub(crate) async fn fetch_existing(&self, name: &str, detail: &str) -> Result<Bytes> {
        let mut attempt = 1;
        loop {
            if let Some(bytes) = self.fetch(name).await? {
                return Ok(bytes);
            }
            if attempt == HOLE_ATTEMPTS {
                return Err(LogError::Missing { object: self.object(name), detail: detail.to_owned() });
            }
            reads::pause(self.env, attempt).await;
            attempt += 1;
        }
    }

    /// The names of the records from `first` on, or of all.
    pub(crate) async fn list_records(&self, first: Option<Seq>) -> Result<Vec<RecordName>> {
        let after = first.map(|seq| self.layout.just_before(seq));
        let mut names = Vec::new();
        reads::list(self.store, self.env, &self.layout.log_prefix(), after.as_ref(), |object| {
            names.extend(self.layout.parse_record(&object.key));
            ControlFlow::Continue(())
        })
        .await?;
        Ok(names)
    }

    /// That a listing does not show a record which is there, or a later one.
    pub(crate) fn listing_lags(&self, name: &str) -> LogError {
        let detail = format!("it does not show {} or what is behind it yet", self.object(name));
        DriverError::new(ErrorKind::Transient, Operation::List, self.layout.log_prefix(), detail).into()
    }

    /// Reads the object `name` as the record at `seq`; also what it carries.
    pub(crate) fn decode(
        &self,
        seq: Seq,
        name: &str,
        bytes: &Bytes,
        checksums: &Checksums,
    ) -> Result<(Stored, Option<Bytes>)> {
        let (record, carried) = format::decode_carrying(bytes, name, checksums)
            .map_err(|error| LogError::of_format(self.object(name), error))?;
        if record.seq != seq {
            let error = FormatError::Damaged("it says that it is at another position");
            return Err(LogError::of_format(self.object(name), error));
        }
        Ok((Stored { record, hash: format::chain_hash(bytes), name: name.to_owned(), bytes: bytes.clone() }, carried))
    }

    /// The named records, which follow one another, in order and in groups, some of them fetched ahead. The newest
    /// checkpoint before them is at `base`: where they are small, a group is one request.
    pub(crate) fn records<'s>(
        &'s self,
        names: Vec<RecordName>,
        base: Seq,
        checksums: &'s Checksums,
    ) -> impl Stream<Item = Result<Vec<Stored>>> + Send + 's {
        let fetch = move |group| self.fetch_group(group, checksums);
        stream::iter(groups(names, base, self.thorough).into_iter().map(fetch)).buffered(MAX_FETCH_AHEAD)
    }

    async fn fetch_group(&self, mut group: Vec<RecordName>, checksums: &Checksums) -> Result<Vec<Stored>> {
        let mut found = Vec::with_capacity(group.len());
        let mut carried: Option<Bytes> = None;
        while let Some(RecordName { seq, name, .. }) = group.pop() {
            let bytes = match carried.take() {
                Some(bytes) => bytes,
                None => self.fetch_existing(&name, "it or a later record was listed a moment ago").await?,
            };
            let (stored, before) = self.decode(seq, &name, &bytes, checksums)?;
            carried = before.filter(|_| !self.thorough);
            found.push(stored);
        }
        found.reverse();
        Ok(found)
    }

    /// As [`records`](Self::records), of a database whose id is not known yet: nothing is checked.
    pub(crate) async fn fetch_unchecked(&self, mut group: Vec<RecordName>) -> Result<Vec<(RecordName, Bytes)>> {
        let mut found = Vec::with_capacity(group.len());
        let mut carried: Option<Bytes> = None;
        while let Some(name) = group.pop() {
            let bytes = match carried.take() {
                Some(bytes) => bytes,
                None => self.fetch_existing(&name.name, "it or a later record was listed a moment ago").await?,
            };
            carried = format::peek(&bytes).and_then(|(_, carried)| carried).filter(|_| !self.thorough);
            found.push((name, bytes));
        }
        found.reverse();
        Ok(found)
    }
}

/// Cuts names into groups of which the last carries the others.
pub(crate) fn groups(names: Vec<RecordName>, base: Seq, thorough: bool) -> Vec<Vec<RecordName>> {
    let mut groups: Vec<Vec<RecordName>> = Vec::new();
    for name in names {
        let joins = name.names == SlotNames::Shared && carries(name.seq, base) && !thorough;
        match groups.last_mut() {
            Some(group) if joins => group.push(name),
            _ => groups.push(vec![name]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_ends_where_the_next_record_carries_nothing() {
        let sizes = |first: u64, last: u64, base: u64| {
            let names = (first..=last).map(|seq| RecordName::shared(Seq(seq))).collect();
            groups(names, Seq(base), false).iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(2, 10, 1), [4, 4, 1]);
        assert_eq!(sizes(11, 12, 10), [2]);
        assert_eq!(sizes(12, 15, 10), [3, 1]);
        assert_eq!(sizes(5, 4, 1), [0; 0]);
    }
}
