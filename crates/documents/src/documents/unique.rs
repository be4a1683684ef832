use std::collections::BTreeMap;

use bucketdb_log::Seq;
use bucketdb_log::planted::{PlantedBug, is_planted};

use super::{Documents, IndexState};
use crate::recent_writes::claim_hash;
use crate::{
    ChangeKind, EncodedKey, Facts, Group, Index, IndexEntry, IndexRange, Refusal, TableEntry, TableId, Transaction,
    indexed_document,
};

/// What a document that is to be written has in a unique index.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The document's table.
    pub table: TableId,
    /// Its key.
    pub key: EncodedKey,
    /// The index.
    pub index: Index,
    /// The values.
    pub values: Vec<u8>,
    /// Whether they are not held whole, so that nobody can tell who else has them.
    pub is_cut: bool,
}

impl Documents {
    /// Whether a transaction changes a table that has a unique index.
    #[must_use]
    pub fn has_unique_index(&self, transaction: &Transaction) -> bool {
        let is_unique = |table: TableId| {
            self.catalogue.table(table).is_some_and(|entry| entry.indexes().iter().any(|index| index.is_unique))
        };
        transaction.changes.iter().any(|change| is_unique(change.table))
    }

    /// What the documents that a transaction leaves have in unique indexes, as far as these are whole and may refuse them.
    #[must_use]
    pub fn claims(&self, transaction: &Transaction) -> Vec<Claim> {
        if !self.has_unique_index(transaction) {
            return Vec::new();
        }
        // The last change of a row counts.
        let last: BTreeMap<(TableId, &EncodedKey), &ChangeKind> =
            transaction.changes.iter().map(|change| ((change.table, &change.key), &change.kind)).collect();
        let mut claims = Vec::new();
        for ((table, key), kind) in last {
            let (ChangeKind::Put(row), Some(entry)) = (kind, self.catalogue.table(table)) else { continue };
            let is_due = |index: &&Index| index.is_unique && self.is_enforced(entry, index);
            let mut due = entry.indexes().iter().filter(is_due).peekable();
            if due.peek().is_none() {
                continue;
            }
            let document = indexed_document(row, &entry.layouts(), due.clone());
            for index in due {
                let values = index.values(&document).into_iter();
                claims.extend(values.filter(|values| !values.has_null).map(|values| Claim {
                    table,
                    key: key.clone(),
                    index: index.clone(),
                    values: values.bytes,
                    is_cut: values.is_cut,
                }));
            }
        }
        claims
    }

    fn is_enforced(&self, table: &TableEntry, index: &Index) -> bool {
        matches!(self.index_state(table.id, index, Seq(u64::MAX)), IndexState::Usable { .. })
    }

    /// Whether what a transaction leaves has values of a unique index that another document has.
    pub(super) fn check_unique(
        &self,
        group: &mut Group,
        own: &mut Group,
        transaction: &Transaction,
        facts: Option<&Facts>,
        wall_ms: u64,
    ) -> Result<(), Refusal> {
        if is_planted(PlantedBug::UniqueUnchecked) {
            return Ok(());
        }
        let claims = self.claims(transaction);
        if claims.is_empty() {
            return Ok(());
        }
        let group = group.written();
        for Claim { table, key, index, values, is_cut } in claims {
            if is_cut {
                return Err(Refusal::IndexValueTooLarge { table, fields: index.order.to_string(), key });
            }
            let refusal = |holder: &EncodedKey| Refusal::Duplicate {
                table,
                fields: index.order.to_string(),
                key: key.clone(),
                holder: holder.clone(),
            };
            if let Some(holder) =
                own.claim(index.id, values.clone(), table, key.clone()).filter(|holder| *holder != key)
            {
                return Err(refusal(&holder));
            }
            let own = own.written();
            // Whoever wrote it anew has what was looked at just before, or will be.
            let is_written_here = |key: &EncodedKey| own.exists(table, key).is_some();
            let is_written_before = |key: &EncodedKey| group.exists(table, key).is_some();
            if let Some(holder) = group.holder(index.id, &values).filter(|holder| !is_written_here(holder)) {
                return Err(refusal(holder));
            }
            let is_other = |holder: &EncodedKey| !is_written_here(holder) && !is_written_before(holder);
            let entry = self.catalogue.table(table).ok_or(Refusal::UnknownTable(table))?;
            let range = Index::range_of_values(&values);
            let written = self.present.overlay.index_entries(entry, &index, &range, Seq(u64::MAX));
            let now_ms = self.now_ms(wall_ms).max(self.present.base.ended_ms);
            let live = written.iter().filter(|entry| !entry.has_ended(now_ms));
            if let Some(holder) = live.map(IndexEntry::key).find(&is_other) {
                return Err(refusal(&holder));
            }
            // Nobody looks up what is in no run.
            let in_base = self.present.base.index(index.id).filter(|known| known.is_in_step(entry));
            if self.present.base.tree.is_empty() || in_base.is_none() {
                continue;
            }
            let claim = claim_hash(index.id, &values);
            let Some((base, holders)) = facts
                .filter(|facts| facts.at >= self.ttls_since)
                .and_then(|facts| Some((facts.base, facts.holders.get(&(index.id, values))?)))
            else {
                return Err(Refusal::FactsTooOld);
            };
            // What was written behind the base that was asked is in memory, as long as there is no later one. Then it has to
            // be known that nobody wrote such values meanwhile, and which of the holders were written again.
            let is_newest = base == self.present.base.covers;
            if !is_newest && (self.recent.covers(base).is_err() || self.recent.is_claimed(&claim, base)) {
                return Err(Refusal::FactsTooOld);
            }
            let is_in_base = |holder: &&EncodedKey| match is_newest {
                true => self.present.overlay.newest(table, holder).is_none(),
                false => !self.recent.is_written(table, holder, base),
            };
            if let Some(holder) = holders.iter().filter(is_in_base).find(|holder| is_other(holder)) {
                return Err(refusal(holder));
            }
        }
        Ok(())
    }
}

impl Claim {
    /// Where the index has these values.
    #[must_use]
    pub fn range(&self) -> IndexRange {
        Index::range_of_values(&self.values)
    }
}
