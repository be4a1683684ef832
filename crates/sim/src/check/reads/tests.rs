use std::time::Duration;

use bucketdb::{LogTime, Seq};
use serde_json::json;

use super::*;
use crate::workload::{FeedEvent, Moment, Read, Seen, Write};
use crate::{ProcessId, Scheduler};

/// Two writes of one register, by operations 1 and 2, at positions 5 and 7.
fn truth() -> Truth {
    let event = |seq, token| FeedEvent {
        seq: Seq(seq),
        time: LogTime(seq),
        table: "registers".into(),
        key: "k".into(),
        document: Some(json!({ "key": "k", "token": token })),
    };
    Truth::new(vec![event(5, 1), event(7, 2)], 7)
}

/// One of several lives.
fn life(number: usize) -> GroupId {
    let executor = crate::Executor::new(0, crate::Limits::default());
    let scheduler: Scheduler = executor.scheduler();
    let lives: Vec<GroupId> = (0..=number).map(|_| scheduler.new_group()).collect();
    lives[number]
}

fn operation(began: u64, ended: u64, reads: Vec<Read>, writes: Vec<Write>, outcome: Outcome) -> Operation {
    let moment = |event| Moment { event, time: Duration::from_secs(event) };
    Operation {
        process: ProcessId(0),
        client: 0,
        reads_at: None,
        known: Seq(0),
        steps: Vec::new(),
        life: life(0),
        what: "test".into(),
        freshness: Freshness::Strict,
        reads,
        writes,
        began: moment(began),
        ended: Some(moment(ended)),
        outcome,
    }
}

fn write(began: u64, ended: u64, seq: u64) -> Operation {
    let write = Write { table: "registers", key: "k".into(), delete: false };
    operation(began, ended, Vec::new(), vec![write], Outcome::Ok(Some(Seq(seq))))
}

fn read(began: u64, ended: u64, seen: Seen) -> Operation {
    let read = Read { table: "registers", key: "k".into(), seen };
    operation(began, ended, vec![read], Vec::new(), Outcome::Ok(None))
}

fn rules(history: &[Operation]) -> Vec<&'static str> {
    check_reads(history, &truth(), true, Some(0)).into_iter().map(|violation| violation.rule).collect()
}

#[test]
fn a_strict_read_that_misses_an_acknowledged_write_is_found() {
    let stale = "reads are as fresh as was asked for and never go backwards";
    assert!(rules(&[write(1, 2, 5), write(3, 4, 7), read(5, 6, Seen::Token(2))]).is_empty());
    assert_eq!(rules(&[write(1, 2, 5), write(3, 4, 7), read(5, 6, Seen::Token(1))]), [stale]);
    // While the write is under way, either is right.
    assert!(rules(&[write(1, 2, 5), write(3, 8, 7), read(5, 6, Seen::Token(1))]).is_empty());
    assert!(rules(&[write(1, 2, 5), write(3, 8, 7), read(5, 6, Seen::Token(2))]).is_empty());
    // What one has seen, nobody may miss later.
    assert_eq!(
        rules(&[write(1, 2, 5), write(3, 20, 7), read(5, 6, Seen::Token(2)), read(7, 8, Seen::Token(1))]),
        [stale]
    );
    assert_eq!(rules(&[write(1, 2, 5), write(3, 4, 7), read(5, 6, Seen::Absent)]), [stale]);
}

#[test]
fn a_local_read_may_be_old_but_not_older_than_the_one_before() {
    let local = |mut operation: Operation, life| {
        operation.freshness = Freshness::Local;
        operation.life = life;
        operation
    };
    let one = life(1);
    let old = local(read(5, 6, Seen::Token(1)), one);
    assert!(rules(&[write(1, 2, 5), write(3, 4, 7), old.clone()]).is_empty());
    let new = local(read(3, 4, Seen::Token(2)), one);
    assert_eq!(rules(&[write(1, 2, 5), write(1, 9, 7), new, old]).len(), 1);
}

#[test]
fn what_was_never_committed_and_what_goes_back_in_time_is_found() {
    assert_eq!(rules(&[write(1, 2, 5), write(3, 4, 7), read(5, 6, Seen::Token(9))]), ["what is read was committed"]);
    let wrong_order = [write(3, 4, 5), write(1, 2, 7)];
    assert_eq!(rules(&wrong_order), ["commits follow what was known before them"]);
}
