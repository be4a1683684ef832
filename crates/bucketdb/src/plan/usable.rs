use bucketdb_documents::{Documents, Index, IndexState, KeyRange, TableEntry};
use bucketdb_query::{Direction, Filter, Order, OrderTerm, Path};

use super::{Asked, Hint, Needs};
use crate::Result;
use crate::entry_rows::key_paths;
use crate::origin::View;
use crate::rows::{Reading, TableRef};

/// What is asked for, by the names that fields have in the newest version, as indexes go by them, whatever the program calls
/// the fields.
pub(super) struct Renamed {
    pub(super) filter: Option<Filter>,
    pub(super) order: Option<Order>,
}

impl Renamed {
    /// `None` if all names are those.
    pub(super) fn of(entry: &TableEntry, asked: &Asked<'_>) -> Option<Self> {
        if entry.versions().len() == 1 {
            return None;
        }
        let name_of = |name| entry.evolution().newest_name(name);
        let filter = asked.filter.map(|filter| filter.with_fields(&name_of));
        let order = asked.order.map(|order| order.with_fields(name_of));
        let is_new = |path: &Path| path.first_field().is_none_or(|name| entry.evolution().newest_name(name) == name);
        let needs = match asked.needs {
            Needs::Paths { paths, .. } => paths,
            Needs::Rows => &[],
        };
        let is_same = filter.as_ref() == asked.filter && order.as_ref() == asked.order && needs.iter().all(is_new);
        (!is_same).then_some(Self { filter, order })
    }
}

/// The indexes of a table that have all of its documents and that a hint allows, and whether they have them in order.
pub(super) fn usable(view: &View, table: &TableRef, hint: Option<&Hint>) -> Result<Vec<(Index, bool)>> {
    let wanted: Option<Order> = match hint {
        None => None,
        Some(Hint::Index(fields)) => match fields.parse() {
            Ok(order) => Some(order),
            Err(_) => return Ok(Vec::new()),
        },
        Some(Hint::Keys) => return Ok(Vec::new()),
        Some(Hint::Way(_)) => None,
    };
    if let Some(transaction) = &view.transaction
        && !transaction.own_writes(&KeyRange::all(table.id))?.is_empty()
    {
        // What a transaction wrote itself is in no index.
        return Ok(Vec::new());
    }
    let usable = view.moment.read_indexes(table.id, |documents: &Documents, at| {
        let entry = documents.catalogue().table(table.id)?;
        let version = table.layouts.version();
        if *entry.types() != table.types {
            // A version was registered just now by which rows compare otherwise than this query knows.
            return None;
        }
        if let Reading::Version(..) = table.reading
            && entry.evolution().step_between(entry.migrated().has, version).is_some()
        {
            // Indexes have what is stored, and the program sees what its step makes of that.
            return None;
        }
        let wanted = wanted.map(|wanted| entry.newest_order(&wanted));
        let is_same = |index: &&Index| {
            let newest = entry.schema().version();
            index.order.fields().all(|name| entry.evolution().is_same_in(name, version, newest))
        };
        let usable = |index: &Index| match documents.index_state(table.id, index, at) {
            IndexState::Usable { is_ordered } => Some((index.clone(), is_ordered)),
            IndexState::Building(_) | IndexState::Expired => None,
        };
        let is_wanted = |index: &&Index| wanted.as_ref().is_none_or(|wanted| *wanted == index.order);
        Some(entry.indexes().iter().filter(is_wanted).filter(is_same).filter_map(usable).collect())
    });
    usable.map(Option::unwrap_or_default)
}

/// An order without its last terms, if these say no more than that what it leaves equal comes in the order of the keys.
pub(super) fn without_key(table: &TableRef, order: &Order) -> Option<Order> {
    let key: Vec<Path> = key_paths(table).collect();
    if key.len() != table.schema.key().len() {
        // Where a key does not hold a field as documents do, it may be in another order.
        return None;
    }
    let says_key = |terms: &[OrderTerm]| {
        let mut pairs = terms.iter().zip(&key);
        pairs.all(|(term, path)| term.path == *path && term.direction == Direction::Ascending)
    };
    let terms = order.terms();
    let first = (0..terms.len()).find(|first| terms.get(*first..).is_some_and(says_key))?;
    let mut rest = Order::default();
    for term in terms.iter().take(first) {
        rest = rest.then(match term.direction {
            Direction::Ascending => Order::ascending(term.path.clone()),
            Direction::Descending => Order::descending(term.path.clone()),
        });
    }
    Some(rest)
}
