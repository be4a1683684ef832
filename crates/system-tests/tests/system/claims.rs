//! Held: of several processes that register the same e-mail addresses, each address goes to one, and every other one is
//! told which field of which document is in the way, while checkpoints move the index from memory into runs.
//!
//! Catches: a unique index that is looked at before others' commits are known, or in runs that were merged meanwhile; a
//! refusal that rests on a commit that never came to be.

use std::collections::BTreeMap;

use bucketdb_system_tests::{Line, Member};
use rustix::process::Signal;
use tokio::runtime::Runtime;

use crate::stores::{Store, on_stores};
use crate::support::random_below;
use crate::workers::{Worker, side_by_side};

const WORKERS: u32 = 8;
const ADDRESSES: u32 = 1_000;

on_stores!(one_of_them_gets_it: file, localstack, redis);

fn one_of_them_gets_it(runtime: &Runtime, store: &Store) -> String {
    let db = runtime.block_on(store.open());
    let members = runtime.block_on(db.table::<Member>()).unwrap();
    let all_started = std::sync::Barrier::new(WORKERS as usize);
    let mut care = Worker::start(store, &["care", "--what", "compact"]);
    let rounds = care.listen();
    let said = side_by_side(0..WORKERS, |worker| {
        let mut process = Worker::start(store, &["claim", "--worker", &worker.to_string()]);
        assert!(matches!(process.line(), Some(Line::Opened(_))));
        all_started.wait();
        process.order(&in_any_order().join(" "));
        process.succeed()
    });
    care.signal(Signal::KILL);
    let rounds = rounds.join().unwrap().len();
    let mut holders: BTreeMap<String, String> = BTreeMap::new();
    let (mut refused, mut puts, mut gets) = (Vec::new(), 0, 0);
    for line in said.into_iter().flatten() {
        match line {
            Line::Inserted { id, .. } => {
                let earlier = holders.insert(address(&id), id.clone());
                assert_eq!(earlier, None, "{id} was registered too");
            }
            Line::Taken { id, field, holder } => {
                assert_eq!(field, "email");
                // As keys print: a text in quotes.
                refused.push((id, holder.trim_matches('"').to_owned()));
            }
            Line::Used { puts: more_puts, gets: more_gets } => (puts, gets) = (puts + more_puts, gets + more_gets),
            other => panic!("{other}"),
        }
    }
    assert_eq!(holders.len(), ADDRESSES as usize);
    assert_eq!(refused.len(), (ADDRESSES * (WORKERS - 1)) as usize);
    for (id, holder) in refused {
        assert_eq!(holders.get(&address(&id)), Some(&holder), "what {id} was told");
    }
    let winners: std::collections::BTreeSet<&str> =
        holders.values().filter_map(|id| id.split_once('/')).map(|(worker, _)| worker).collect();
    let found = runtime.block_on(members.query().freshness(bucketdb::Freshness::Strict).fetch()).unwrap();
    let found: BTreeMap<String, String> = found.into_iter().map(|member| (member.email, member.id)).collect();
    assert_eq!(found, holders);
    let verification = runtime.block_on(db.verify(|_| {})).unwrap();
    assert!(verification.is_clean(), "{:?}", verification.findings);
    format!(
        "; {ADDRESSES} addresses, {} of {WORKERS} processes got some; {puts} puts and {gets} gets; {rounds} merges beside it",
        winners.len()
    )
}

fn address(id: &str) -> String {
    id.split_once('/').map(|(_, address)| address.to_owned()).unwrap_or_default()
}

fn in_any_order() -> Vec<String> {
    let mut addresses: Vec<String> = (0..ADDRESSES).map(|number| format!("member{number}@example.org")).collect();
    for last in (1..addresses.len()).rev() {
        addresses.swap(last, random_below(last as u64 + 1) as usize);
    }
    addresses
}
