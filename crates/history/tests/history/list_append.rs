//! Dependencies of transactions on lists, and the cycles that they form.

use crate::support::{PLAIN, STRICT, found, history, only};
use bucketdb_history::{Options, check_list_append};

#[test]
fn an_empty_history_is_valid() {
    assert_eq!(found(&[], STRICT), [""; 0]);
}

#[test]
fn transactions_one_after_the_other_are_valid() {
    let lines = [
        r#"ok 0 0 10 [["r","x",[]],["append","x",1],["r","x",[1]]]"#,
        r#"ok 1 11 20 [["r","x",[1]],["append","x",2],["append","y",1]]"#,
        r#"fail 2 11 20 [["r","x",[9]],["append","x",3]]"#,
        r#"info 3 11 20 [["append","x",4],["append","y",4]]"#,
        r#"info 4 11 20 [["append","x",5],["append","y",5]]"#,
        r#"ok 0 21 30 [["r","x",[1,2]],["r","y",[1]]]"#,
        r#"ok 0 31 40 [["r","x",[1,2,5]],["r","y",[1,5]]]"#,
    ];
    let summary = check_list_append(&history(&lines), STRICT).unwrap();
    assert_eq!((summary.ok, summary.failed, summary.unknown, summary.unknown_but_seen), (4, 1, 2, 1));
    assert_eq!((summary.keys, summary.writes, summary.reads), (2, 3, 7));
}

#[test]
fn concurrent_transactions_may_take_effect_in_any_order() {
    let lines = [
        r#"ok 0 0 10 [["append","x",1]]"#,
        r#"ok 1 0 10 [["append","x",2]]"#,
        r#"ok 2 5 15 [["r","x",[2]]]"#,
        r#"ok 3 11 20 [["r","x",[2,1]]]"#,
    ];
    assert_eq!(found(&lines, STRICT), [""; 0]);
}

#[test]
fn what_ends_just_when_something_begins_is_concurrent_with_it() {
    let lines = [r#"ok 0 0 10 [["append","x",1]]"#, r#"ok 1 10 20 [["r","x",[]]]"#, r#"ok 2 10 20 [["r","x",[1]]]"#];
    assert_eq!(found(&lines, STRICT), [""; 0]);
}

#[test]
fn transactions_without_duration_are_concurrent_if_of_the_same_time() {
    let lines = [r#"ok 0 5 5 [["append","x",1]]"#, r#"ok 1 5 5 [["r","x",[]]]"#, r#"ok 2 5 5 [["r","x",[1]]]"#];
    assert_eq!(found(&lines, STRICT), [""; 0]);
}

#[test]
fn g0_is_found() {
    let lines = [
        r#"ok 0 0 10 [["append","x",1],["append","y",1]]"#,
        r#"ok 1 0 10 [["append","x",2],["append","y",2]]"#,
        r#"ok 2 0 10 [["r","x",[1,2]]]"#,
        r#"ok 3 0 10 [["r","y",[2,1]]]"#,
    ];
    assert_eq!(only(&lines, PLAIN, "G0").transactions(), [0, 1]);
}

#[test]
fn g1c_is_found() {
    let lines = [r#"ok 0 0 10 [["append","x",1],["r","y",[1]]]"#, r#"ok 1 0 10 [["append","y",1],["r","x",[1]]]"#];
    assert_eq!(only(&lines, PLAIN, "G1c").transactions(), [0, 1]);
}

#[test]
fn g_single_is_found() {
    let lines = [r#"ok 0 0 10 [["append","x",1],["append","y",1]]"#, r#"ok 1 0 10 [["r","x",[1]],["r","y",[]]]"#];
    assert_eq!(only(&lines, PLAIN, "G-single").transactions().len(), 2);
}

#[test]
fn a_lost_update_is_g_single() {
    let lines = [
        r#"ok 0 0 10 [["r","x",[]],["append","x",1]]"#,
        r#"ok 1 0 10 [["r","x",[]],["append","x",2]]"#,
        r#"ok 2 0 10 [["r","x",[1,2]]]"#,
    ];
    assert_eq!(only(&lines, PLAIN, "G-single").transactions().len(), 2);
}

#[test]
fn updates_of_the_same_unread_version_are_g2() {
    let lines = [r#"ok 0 0 10 [["r","x",[]],["append","x",1]]"#, r#"ok 1 0 10 [["r","x",[]],["append","x",2]]"#];
    assert_eq!(only(&lines, PLAIN, "G2").transactions(), [0, 1]);
}

#[test]
fn g2_is_found() {
    let lines = [
        r#"ok 0 0 10 [["r","x",[]],["append","y",1]]"#,
        r#"ok 1 0 10 [["r","y",[]],["append","x",1]]"#,
        r#"ok 2 0 10 [["r","x",[1]],["r","y",[1]]]"#,
    ];
    assert_eq!(only(&lines, PLAIN, "G2").transactions(), [0, 1]);
}

#[test]
fn two_readers_who_disagree_on_the_order_of_two_writers_are_g2() {
    let lines = [
        r#"ok 0 0 10 [["append","x",1]]"#,
        r#"ok 1 0 10 [["append","y",1]]"#,
        r#"ok 2 0 10 [["r","x",[1]],["r","y",[]]]"#,
        r#"ok 3 0 10 [["r","x",[]],["r","y",[1]]]"#,
    ];
    assert_eq!(only(&lines, PLAIN, "G2").transactions().len(), 4);
}

#[test]
fn g0_process_is_found() {
    let lines =
        [r#"ok 0 0 10 [["append","x",1]]"#, r#"ok 0 11 20 [["append","x",2]]"#, r#"ok 1 0 20 [["r","x",[2,1]]]"#];
    assert_eq!(only(&lines, STRICT, "G0-process").transactions().len(), 2);
    assert_eq!(found(&lines, PLAIN), [""; 0]);
}

#[test]
fn g1c_process_is_found() {
    let lines = [r#"ok 0 0 10 [["r","x",[1]]]"#, r#"ok 0 11 20 [["append","x",1]]"#];
    assert_eq!(only(&lines, STRICT, "G1c-process").transactions().len(), 2);
}

#[test]
fn g_single_process_is_found() {
    let lines = [r#"ok 0 0 10 [["append","x",1]]"#, r#"ok 0 11 20 [["r","x",[]]]"#, r#"ok 1 0 20 [["r","x",[1]]]"#];
    assert_eq!(only(&lines, STRICT, "G-single-process").transactions().len(), 2);
}

#[test]
fn g2_process_is_found() {
    let lines = [
        r#"ok 0 0 10 [["append","x",1]]"#,
        r#"ok 0 11 20 [["r","y",[]]]"#,
        r#"ok 1 0 10 [["append","y",1]]"#,
        r#"ok 1 11 20 [["r","x",[]]]"#,
        r#"ok 2 0 20 [["r","x",[1]],["r","y",[1]]]"#,
    ];
    let sessions = Options { real_time: false, process_order: true };
    assert_eq!(only(&lines, sessions, "G2-process").transactions().len(), 4);
}

#[test]
fn g0_realtime_is_found() {
    let lines =
        [r#"ok 0 0 10 [["append","x",1]]"#, r#"ok 1 11 20 [["append","x",2]]"#, r#"ok 2 0 20 [["r","x",[2,1]]]"#];
    assert_eq!(only(&lines, STRICT, "G0-realtime").transactions().len(), 2);
    assert_eq!(found(&lines, PLAIN), [""; 0]);
}

#[test]
fn g1c_realtime_is_found() {
    let lines = [r#"ok 0 0 10 [["r","x",[1]]]"#, r#"ok 1 11 20 [["append","x",1]]"#];
    assert_eq!(only(&lines, STRICT, "G1c-realtime").transactions().len(), 2);
}

#[test]
fn seeing_an_unknown_transaction_before_it_began_is_g1c_realtime() {
    let lines = [r#"ok 0 0 10 [["r","x",[1]]]"#, r#"info 1 11 20 [["append","x",1]]"#];
    assert_eq!(only(&lines, STRICT, "G1c-realtime").transactions().len(), 2);
}

#[test]
fn a_stale_read_is_g_single_realtime_and_explained() {
    let lines = [r#"ok 0 0 10 [["append","x",1]]"#, r#"ok 1 12 20 [["r","x",[]]]"#, r#"ok 2 21 30 [["r","x",[1]]]"#];
    let anomaly = only(&lines, STRICT, "G-single-realtime");
    assert_eq!(anomaly.transactions(), [1, 0]);
    let explanation = anomaly.to_string();
    assert!(explanation.contains("because T2 read x without 1, which T1 appended\n"), "{explanation}");
    assert!(explanation.contains("because T1 ended at 10, before T2 began at 12\n"), "{explanation}");
    assert_eq!(found(&lines, PLAIN), [""; 0]);
}

/// A hundred transactions, each of which reads and appends to a list, but the last does what it is told.
fn chain(last: &str) -> Vec<String> {
    let step = |at: usize| {
        let read: Vec<usize> = (0..at).collect();
        format!(r#"ok {at} {} {} [["r","x",{read:?}],["append","x",{at}]]"#, at * 10, at * 10 + 5)
    };
    (0..99).map(step).chain([format!("ok 99 990 995 {last}")]).collect()
}

#[test]
fn a_stale_read_long_after_is_explained_by_two_transactions() {
    let lines = chain(r#"[["r","x",[0]]]"#);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    // The append of 98 was lost as well.
    let anomalies = check_list_append(&history(&lines), STRICT).unwrap_err();
    let found: Vec<_> = anomalies.iter().map(|anomaly| (anomaly.kind().to_string(), anomaly.transactions())).collect();
    assert_eq!(found[0], ("lost-append".to_owned(), &[98, 99][..]));
    assert_eq!(found[1], ("G-single-realtime".to_owned(), &[99, 1][..]));
    assert_eq!(found.len(), 2);
}

#[test]
fn a_lost_update_long_after_is_explained_by_two_transactions() {
    let lines = chain(r#"[["r","x",[0]],["append","x",99]]"#);
    let reader = format!(r#"ok 100 1000 1005 [["r","x",{:?}]]"#, (0..100).collect::<Vec<_>>());
    let lines: Vec<&str> = lines.iter().map(String::as_str).chain([reader.as_str()]).collect();
    let anomaly = only(&lines, STRICT, "G-single");
    assert_eq!(anomaly.transactions(), [99, 98]);
    let explanation = anomaly.to_string();
    assert!(explanation.contains("because T100 read x without 98, which T99 appended\n"), "{explanation}");
    assert!(explanation.contains("because T99 appended 98 to x, and T100 appended 99 after it\n"), "{explanation}");
}

#[test]
fn g2_realtime_is_found() {
    let lines = [
        r#"ok 0 0 10 [["append","x",1]]"#,
        r#"ok 1 11 20 [["r","y",[]]]"#,
        r#"ok 2 0 30 [["append","y",1],["r","x",[]]]"#,
        r#"ok 3 31 40 [["r","x",[1]],["r","y",[1]]]"#,
    ];
    let anomaly = only(&lines, STRICT, "G2-realtime");
    assert_eq!(anomaly.transactions().len(), 3);
}

#[test]
fn an_unknown_transaction_that_was_seen_must_be_seen_whole() {
    let lines = [r#"info 0 0 10 [["append","x",1],["append","y",1]]"#, r#"ok 1 20 30 [["r","x",[1]],["r","y",[]]]"#];
    assert_eq!(only(&lines, PLAIN, "G-single").transactions().len(), 2);
}

#[test]
fn an_unknown_transaction_may_take_effect_late_but_not_vanish_again() {
    let late = [
        r#"info 0 0 10 [["append","x",1]]"#,
        r#"ok 1 20 30 [["r","x",[]]]"#,
        r#"ok 0 40 50 [["r","x",[]]]"#,
        r#"ok 1 60 70 [["r","x",[1]]]"#,
    ];
    assert_eq!(found(&late, STRICT), [""; 0]);
    let vanished = [&late[..], &[r#"ok 2 80 90 [["r","x",[]]]"#]].concat();
    assert_eq!(only(&vanished, STRICT, "G-single-realtime").transactions().len(), 3);
}

#[test]
fn separate_cycles_are_reported_separately() {
    let lines = [
        r#"ok 0 0 10 [["append","x",1],["r","y",[1]]]"#,
        r#"ok 1 0 10 [["append","y",1],["r","x",[1]]]"#,
        r#"ok 2 20 30 [["r","p",[]],["append","q",1]]"#,
        r#"ok 3 20 30 [["r","q",[]],["append","p",1]]"#,
    ];
    assert_eq!(found(&lines, STRICT), ["G1c", "G2"]);
}

#[test]
fn every_step_of_a_cycle_has_its_reason() {
    let lines = [
        r#"ok 0 0 10 [["append","x",1],["append","y",1]]"#,
        r#"ok 1 0 10 [["append","x",2],["append","z",2]]"#,
        r#"ok 2 0 10 [["r","z",[2]],["r","y",[]]]"#,
        r#"ok 3 0 10 [["r","x",[1,2]]]"#,
    ];
    let explanation = only(&lines, STRICT, "G-single").to_string();
    for reason in [
        "because T1 appended 1 to x, and T2 appended 2 after it\n",
        "because T2 appended 2 to z, which T3 read\n",
        "because T3 read y without 1, which T1 appended\n",
    ] {
        assert!(explanation.contains(reason), "{explanation}");
    }
}

#[test]
fn a_long_way_round_is_not_told_if_real_time_makes_it_short() {
    // Each transaction reads what the one before appended, so without any clock the last one must come after all
    // others.
    let link = |at: usize| format!(r#"ok {at} {} {} [["r",{at},[1]],["append",{},1]]"#, at * 10, at * 10 + 5, at + 1);
    let first = r#"ok 0 0 5 [["append",1,1],["append","x",1]]"#.to_owned();
    let last = |from: usize| format!(r#"ok 50 {} {} [["r",{from},[1]],["r","x",[]]]"#, from * 10, from * 10 + 5);
    let chain = |len: usize| [first.clone()].into_iter().chain((1..len).map(link)).chain([last(len)]).collect();
    for (len, name, transactions) in [(3, "G-single", 4), (20, "G-single-realtime", 2)] {
        let lines: Vec<String> = chain(len);
        // Somebody saw the value, so it is not lost.
        let lines: Vec<&str> = lines.iter().map(String::as_str).chain([r#"ok 60 0 9 [["r","x",[1]]]"#]).collect();
        assert_eq!(only(&lines, STRICT, name).transactions().len(), transactions);
    }
}
