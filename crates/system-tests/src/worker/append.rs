use std::cell::Cell;
use std::collections::BTreeMap;
use std::error::Error;

use bucketdb::Freshness;
use bucketdb_history::Op;
use bucketdb_system_tests::{FULL_LIST, LISTS, List};

use crate::access::Access;
use crate::client::{Abort, Client};
use crate::session::Session;
use crate::{Arguments, WorkloadArguments};

/// So many operations has a transaction at most.
const MOST_STEPS: u64 = 4;

/// So many neighbouring lists does one query read at most.
const MOST_SCANNED: u64 = 3;

/// An operation of a transaction that is about to begin.
enum Step {
    Append {
        id: u64,
        value: u64,
    },
    Read(u64),
    /// Reads neighbouring lists by one query, those that are not stored included.
    Scan {
        first: u64,
        last: u64,
    },
}

/// Appends to lists and reads them, in transactions of a few operations.
pub(crate) async fn append(arguments: &Arguments, workload: WorkloadArguments) -> Result<(), Box<dyn Error>> {
    let generation = Cell::new(None);
    Session::run(arguments, workload, async |session, client| work(session, client, &generation).await).await
}

async fn work(session: &Session, mut client: Client<'_>, generation: &Cell<Option<u64>>) -> Result<(), Box<dyn Error>> {
    let lists = session.db.table::<List>().await?;
    let newest = lists.query().freshness(Freshness::Local).order_by(List::ID.desc()).first().await?;
    generation.set(generation.get().max(newest.map(|list| list.id / LISTS)));
    while !session.is_over() {
        let steps = steps(session, generation.get().unwrap_or(0));
        let planned = steps.iter().flat_map(planned).collect();
        // Nothing could be taken back without a transaction.
        let is_refused = !session.is_weak && session.chance(10);
        client
            .run(planned, async |access, _| {
                let mut ops = Vec::new();
                for step in &steps {
                    session.pause().await;
                    take(access, step, &mut ops, generation).await?;
                }
                match is_refused {
                    false => Ok(ops),
                    // Such a transaction proves two things: what it appended is never seen, and what it read before was
                    // true. A history can hold one of them.
                    true if session.chance(50) => Err(Abort::Refused),
                    true => Err(Abort::RefusedBut(ops.into_iter().take_while(is_read).collect())),
                }
            })
            .await?;
    }
    Ok(())
}

fn steps(session: &Session, generation: u64) -> Vec<Step> {
    let random_list = || session.random_below(LISTS);
    let step = |_| match session.random_below(10) {
        0..5 => Step::Append { id: generation * LISTS + random_list(), value: session.new_value() },
        5..8 => Step::Read(generation * LISTS + random_list()),
        _ => {
            let first = generation * LISTS + random_list();
            Step::Scan { first, last: first + session.random_below(MOST_SCANNED) }
        }
    };
    (0..=session.random_below(MOST_STEPS)).map(step).collect()
}

/// What is known of it before it is done.
fn planned(step: &Step) -> Vec<Op> {
    let read = |id: u64| Op::Read { key: id.into(), values: None };
    match *step {
        Step::Append { id, value } => vec![Op::append(id, value)],
        Step::Read(id) => vec![read(id)],
        Step::Scan { first, last } => (first..=last).map(read).collect(),
    }
}

fn is_read(op: &Op) -> bool {
    matches!(op, Op::Read { .. })
}

async fn take(
    access: &Access<'_>,
    step: &Step,
    ops: &mut Vec<Op>,
    generation: &Cell<Option<u64>>,
) -> bucketdb::Result<()> {
    let mut note = |list: &List| {
        if list.values.len() >= FULL_LIST {
            generation.set(generation.get().max(Some(list.next_generation())));
        }
    };
    match *step {
        Step::Append { id, value } => {
            let mut list = access.get::<List>(&id).await?.unwrap_or_else(|| List::new(id));
            list.values.push(value);
            note(&list);
            access.put(&list).await?;
            ops.push(Op::append(id, value));
        }
        Step::Read(id) => {
            let list = access.get::<List>(&id).await?.unwrap_or_else(|| List::new(id));
            note(&list);
            ops.push(Op::read(id, list.values));
        }
        Step::Scan { first, last } => {
            let found = access.query::<List>().await?.keys(first..=last).fetch().await?;
            found.iter().for_each(&mut note);
            let mut found: BTreeMap<u64, List> = found.into_iter().map(|list| (list.id, list)).collect();
            let values = |id| found.remove(&id).map(|list| list.values).unwrap_or_default();
            ops.extend((first..=last).zip((first..=last).map(values)).map(|(id, values)| Op::read(id, values)));
        }
    }
    Ok(())
}
