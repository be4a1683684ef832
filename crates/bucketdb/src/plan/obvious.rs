//! A way that needs no comparison, as most queries of an application have one: an index that sees to all conditions and leads to
//! few documents, where what it reads is in memory. To compare it with others would take longer than to go it.

use bucketdb_documents::run_group;
use bucketdb_lsm::RunProbe;
use bucketdb_runs::{Direction, LookedAt};

use super::candidate::{Candidate, Reads};
use super::cost::{self, ROW_LOOKS, Wanted};
use super::estimate::rows_of;
use super::{Access, Asked, Telling};
use crate::Result;
use crate::index_scan::{FIRST_OF_ALL, RowOrder};
use crate::origin::View;
use crate::rows::TableRef;

/// So many looks at entries and rows are few: some milliseconds at most.
const FEW_LOOKS: f64 = 5000.0;

/// More entries than that are not few, however many there are.
const MOST_COUNTED: usize = FEW_LOOKS as usize + 1;

/// In so many places of an index at most: each is looked for.
const FEW_PLACES: usize = 8;

/// So many requests are hardly any: where most of a table is in memory, what is not is read by this way as by others.
const HARDLY_ANY: f64 = 0.1;

/// What a way reads.
#[derive(Clone, Copy)]
struct Reading {
    entries: f64,
    rows: f64,
}

impl Reading {
    fn looks(self) -> f64 {
        self.entries + ROW_LOOKS * self.rows
    }
}

/// The place of that way among the candidates, if there is one.
pub(super) async fn obvious(
    view: &View,
    table: &TableRef,
    asked: &Asked<'_>,
    conditions: usize,
    candidates: &[Candidate],
) -> Result<Option<usize>> {
    if asked.telling != Telling::Nothing || asked.hint.is_some() || asked.has_predicates {
        return Ok(None);
    }
    // If what is to be put in order turns out to be too large for that, the other ways have to be known.
    let has_order = candidates.iter().any(|candidate| candidate.is_ordered);
    let mut best: Option<(usize, Reading)> = None;
    for (place, candidate) in candidates.iter().enumerate() {
        if candidate.conditions < conditions || has_order && !candidate.is_ordered {
            continue;
        }
        let Some(reading) = reading(view, table, asked, candidate).await? else { continue };
        if best.is_none_or(|(_, best)| reading.looks() < best.looks()) {
            best = Some((place, reading));
        }
    }
    let Some((place, reading)) = best else { return Ok(None) };
    let (base, documents) =
        view.moment.read(|documents, _| (documents.base().clone(), documents.stats(table.id).documents))?;
    if reading.looks() > FEW_LOOKS || reading.looks() > documents as f64 {
        return Ok(None);
    }
    // A single one is read by every way, be it in memory or not.
    if reading.rows > 1.0 {
        let all = rows_of(view, table, &base, LookedAt::SOME).await?;
        let first_batch = FIRST_OF_ALL as f64;
        let wanted = Wanted { rows: reading.rows, spread: all.partitions, is_by_key: true, first_batch };
        if cost::rows(&all, &wanted).requests > HARDLY_ANY {
            return Ok(None);
        }
    }
    Ok(Some(place))
}

/// What an index reads, if all of that is in memory.
async fn reading(view: &View, table: &TableRef, asked: &Asked<'_>, candidate: &Candidate) -> Result<Option<Reading>> {
    let (Access::Index { index, row_order, covers, .. }, Reads::Index { ranges, .. }) =
        (&candidate.access, &candidate.reads)
    else {
        return Ok(None);
    };
    if ranges.len() > FEW_PLACES {
        return Ok(None);
    }
    let mut entries = 0.0;
    for range in ranges {
        let Some(extent) = view.moment.index_extent(table.id, index, range, MOST_COUNTED)? else { return Ok(None) };
        entries += extent.written as f64;
        let Some(group) = extent.group else { continue };
        let (group, bounds) = run_group(group, range);
        let runs = extent.base.tree.probe(group, &bounds, false, Direction::Forward, 0).await;
        let runs = view.moment.explained(runs).await?;
        if !runs.iter().all(is_in_memory) {
            return Ok(None);
        }
        entries += runs.iter().map(|run| run.rows).sum::<f64>();
    }
    let most = asked.limit.map_or(f64::INFINITY, |limit| limit as f64);
    let stops_early = candidate.is_ordered && *row_order == RowOrder::Index;
    let entries = if stops_early { entries.min(most) } else { entries };
    Ok(Some(Reading { entries, rows: if *covers { 0.0 } else { entries } }))
}

fn is_in_memory(run: &RunProbe) -> bool {
    let probe = &run.probe;
    probe.requests_to_begin == 0.0 && probe.partitions_at_hand >= 1.0 && probe.blocks_at_hand >= 1.0
}

#[cfg(test)]
mod tests {
    use bucketdb_documents::KeyRange;
    use bucketdb_query::{Filter, Order};
    use serde_json::json;

    use super::*;
    use crate::origin::Origin;
    use crate::plan::conditions::Conditions;
    use crate::plan::{Needs, candidates};
    use crate::{Database, Freshness, MemoryDriver};

    const DOCUMENTS: u64 = 5000;

    async fn filled(driver: &MemoryDriver) -> Database {
        let db = Database::builder().driver(driver.clone()).open().await.unwrap();
        let things = db.collection("things");
        things.put(&json!({"id": 0, "name": "", "group": 0, "value": 0})).await.unwrap();
        let mut batch = db.batch();
        for id in 0..DOCUMENTS {
            let thing = json!({"id": id, "name": format!("thing {id}"), "group": id % 50, "value": id * 7 % DOCUMENTS});
            batch.put_into(&things, &thing).unwrap();
        }
        batch.commit().await.unwrap();
        for index in ["name", "group, value", "value"] {
            things.create_index(index).await.unwrap();
        }
        db.checkpoint().await.unwrap();
        db.build_indexes().await.unwrap();
        db
    }

    /// Everything is in memory then.
    async fn warm(db: &Database) {
        for index in ["name", "group, value", "value"] {
            db.collection("things").query().by_index(index).fetch().await.unwrap();
        }
    }

    /// What is obvious, in words.
    async fn found(db: &Database, filter: &str, order: &str, limit: Option<usize>, telling: Telling) -> Option<String> {
        let view = Origin::Live(db.clone(), Freshness::Local).open().await.unwrap();
        let table = view.find("things").unwrap().unwrap();
        let filter: Filter = if filter.is_empty() { Filter::all() } else { filter.parse().unwrap() };
        let order: Option<Order> = (!order.is_empty()).then(|| order.parse().unwrap());
        let asked = Asked {
            filter: Some(&filter),
            order: order.as_ref(),
            limit,
            keys: KeyRange::all(table.id),
            has_key_range: false,
            hint: None,
            after: None,
            needs: Needs::Rows,
            has_predicates: false,
            telling,
        };
        let conditions = Conditions::of(&filter);
        let all = candidates(&view, &table, &asked, &conditions).unwrap();
        let place = obvious(&view, &table, &asked, conditions.len(), &all).await.unwrap();
        place.map(|place| all[place].what.clone())
    }

    #[tokio::test]
    async fn an_index_in_memory_that_leads_to_few_documents_is_obvious() {
        let db = filled(&MemoryDriver::new()).await;
        warm(&db).await;
        let of = async |filter, order, limit| found(&db, filter, order, limit, Telling::Nothing).await;
        assert_eq!(of("name = \"thing 7\"", "", None).await.unwrap(), "index on name, name given");
        assert_eq!(of("group = 7", "", None).await.unwrap(), "index on group, value, group given");
        assert_eq!(of("group = 7", "value", Some(9)).await.unwrap(), "index on group, value, group given");
        assert_eq!(of("", "value desc", Some(10)).await.unwrap(), "index on value, backwards");
        let range = of("value >= 100 and value < 150", "value", None).await;
        assert_eq!(range.unwrap(), "index on value, a range of value");
        // Of two, the one that reads less: this one stops after ten.
        assert_eq!(of("value >= 100", "value", Some(10)).await.unwrap(), "index on value, a range of value");

        assert_eq!(of("group = 7 and id > 9", "", None).await, None, "an index does not see to all conditions");
        assert_eq!(of("value >= 100", "", None).await, None, "many documents");
        assert_eq!(of("", "", None).await, None, "all documents");
        assert_eq!(
            found(&db, "group = 7", "", None, Telling::Known).await,
            None,
            "somebody wants to know of the others"
        );
    }

    #[tokio::test]
    async fn nothing_is_obvious_that_is_not_in_memory() {
        let driver = MemoryDriver::new();
        filled(&driver).await.close().await.unwrap();
        let db = Database::builder().driver(driver.clone()).open().await.unwrap();
        assert_eq!(found(&db, "group = 7", "", None, Telling::Nothing).await, None);
        warm(&db).await;
        assert!(found(&db, "group = 7", "", None, Telling::Nothing).await.is_some());
    }

    /// What was written since the last checkpoint counts as what is in runs.
    #[tokio::test]
    async fn what_is_in_no_run_is_few_or_many_as_well() {
        let db = Database::builder().driver(MemoryDriver::new()).open().await.unwrap();
        let things = db.collection("things");
        things.put(&json!({"id": 0, "group": 0})).await.unwrap();
        things.create_index("group").await.unwrap();
        let mut batch = db.batch();
        for id in 1..DOCUMENTS {
            batch.put_into(&things, &json!({"id": id, "group": id % 50 + id % 2 * 1000})).unwrap();
        }
        batch.commit().await.unwrap();
        let of = async |filter| found(&db, filter, "", None, Telling::Nothing).await;
        assert_eq!(of("group = 8").await.unwrap(), "index on group, group given");
        assert_eq!(of("group < 1000").await, None);
    }
}
