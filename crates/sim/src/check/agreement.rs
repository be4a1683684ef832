use bucketdb::{Error, Freshness};
use serde_json::Value;

use crate::check::truth::Clock;
use crate::check::{Row, Truth, Violation};
use crate::cluster::Node;
use crate::workload::{FeedEvent, FollowerLog, Gap, TICKETS, Tables};
use crate::{ProcessId, Scheduler};

/// What a follower should have seen, given where it was told that it came too late: from each gap on, what is not below it.
pub(crate) fn expected_of(follower: &FollowerLog, truth: &Truth) -> Vec<FeedEvent> {
    let told = &truth.events;
    let (mut expected, mut next) = (Vec::new(), 0);
    for Gap { behind, floor, .. } in follower.gaps() {
        while expected.len() < behind
            && let Some(event) = told.get(next)
        {
            expected.push(event.clone());
            next += 1;
        }
        next = next.max(told.partition_point(|event| event.seq.0 < floor));
    }
    expected.extend_from_slice(told.get(next..).unwrap_or_default());
    expected
}

/// How often a node is asked again whose request was lost.
const ATTEMPTS: u32 = 5;

/// What followers saw, over crashes and restarts, is what happened: each change once and in order, and none left out but
/// below the floor.
pub(crate) fn check_followers(followers: &[(ProcessId, FollowerLog)], truth: &Truth) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (process, follower) in followers {
        let (seen, expected) = (follower.seen(), expected_of(follower, truth));
        let differs = seen.iter().zip(&expected).position(|(one, other)| one != other);
        let differs = differs.or((seen.len() > expected.len()).then_some(expected.len()));
        if let Some(place) = differs {
            let shown = |events: &[FeedEvent]| {
                events.get(place).map_or_else(|| "nothing".to_owned(), |event| format!("{event:?}"))
            };
            let detail = format!("{process} saw {}, and there was {}", shown(&seen), shown(&expected));
            violations.push(Violation::new("a feed gives every change once and in order", detail, Vec::new()));
        }
        let is_known = |gap: &Gap| truth.read_at.is_none_or(|read_at| gap.told <= read_at);
        let is_wrong = |gap: &Gap| is_known(gap) && gap.floor > truth.floor_at(gap.told);
        if let Some(gap) = follower.gaps().into_iter().find(is_wrong) {
            let detail = format!("{process} was told at {:?} that what is below {} is given up", gap.told, gap.floor);
            violations.push(Violation::new("a feed leaves out only what was given up", detail, Vec::new()));
        }
    }
    violations
}

/// All nodes, a fresh one and the changes themselves add up to the same documents.
pub(crate) async fn check_states(nodes: &[Node], reader: &Tables, truth: &Truth) -> Vec<Violation> {
    let mut violations = Vec::new();
    let expected = truth.rows(&Tables::NAMES);
    let states = nodes.iter().map(|node| (node.process.to_string(), &node.tables));
    for (name, tables) in states.chain([("a fresh reader".to_owned(), reader)]) {
        let rule = "the same log gives the same state everywhere";
        match rows(tables, &Tables::NAMES).await {
            Ok(rows) if rows == expected => {}
            Ok(rows) => {
                let missing = expected.iter().find(|row| !rows.contains(row));
                let surplus = rows.iter().find(|row| !expected.contains(row));
                let detail = format!("{name} lacks {missing:?} and has {surplus:?}");
                violations.push(Violation::new(rule, detail, Vec::new()));
            }
            Err(error) => violations.push(Violation::new(rule, format!("{name}: {error}"), Vec::new())),
        }
    }
    violations
}

/// Of documents that end, a reader shows those that were written and have not ended.
pub(crate) async fn check_tickets(
    reader: &Tables,
    truth: &Truth,
    scheduler: &Scheduler,
    clocks_off_ms: Option<u64>,
) -> Vec<Violation> {
    let violation = |detail| vec![Violation::new("documents end when they are to", detail, Vec::new())];
    let began = scheduler.now();
    let found = rows(reader, &[TICKETS]).await;
    let Clock { earliest_ms, latest_ms } = Clock::between(began, scheduler.now(), clocks_off_ms);
    let ends_ms = |row: &Row| row.2.get("ends").and_then(Value::as_u64).unwrap_or(u64::MAX / 1_000) * 1_000;
    let written = truth.rows(&[TICKETS]);
    match found {
        Ok(found) => {
            let missing = written.iter().find(|row| ends_ms(row) > latest_ms && !found.contains(row));
            let surplus = found.iter().find(|row| ends_ms(row) <= earliest_ms || !written.contains(row));
            let is_right = missing.is_none() && surplus.is_none();
            if is_right {
                Vec::new()
            } else {
                violation(format!("a fresh reader lacks {missing:?} and has {surplus:?}"))
            }
        }
        Err(error) => violation(error.to_string()),
    }
}

/// All documents of some tables that a node shows.
pub(crate) async fn rows(tables: &Tables, names: &[&str]) -> Result<Vec<Row>, Error> {
    let mut found = try_rows(tables, names).await;
    for _ in 0..ATTEMPTS {
        if !found.as_ref().is_err_and(Error::is_retryable) {
            break;
        }
        found = try_rows(tables, names).await;
    }
    found
}

async fn try_rows(tables: &Tables, names: &[&str]) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    for name in names {
        let collection = tables.db.collection(name);
        for document in collection.query().freshness(Freshness::Strict).fetch().await? {
            let key = document.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
            rows.push(((*name).to_owned(), key, document));
        }
    }
    rows.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    Ok(rows)
}
