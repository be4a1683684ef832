//! Additions and counts.

use crate::support::{history, names};
use bucketdb_history::check_counter;

fn found(lines: &[&str]) -> Vec<String> {
    names(check_counter(&history(lines)))
}

/// A count of this after 5 were acknowledged, 3 failed, and 2 and -1 are unknown.
fn found_at_the_end(count: i64) -> Vec<String> {
    found(&[
        r#"ok 0 0 10 [["add","x",5]]"#,
        r#"fail 1 0 10 [["add","x",3]]"#,
        r#"info 2 0 10 [["add","x",2]]"#,
        r#"info 3 0 10 [["add","x",-1]]"#,
        &format!(r#"ok 0 11 20 [["count","x",{count}]]"#),
    ])
}

#[test]
fn a_count_is_between_the_acknowledged_and_the_possible() {
    for count in 4..=7 {
        assert_eq!(found_at_the_end(count), [""; 0], "{count}");
    }
    assert_eq!(found_at_the_end(3), ["wrong-count"]);
    assert_eq!(found_at_the_end(8), ["wrong-count"]);
}

#[test]
fn a_count_has_what_ended_before_it_and_not_what_begins_later() {
    let counted = |count: i64| {
        found(&[
            r#"ok 0 0 10 [["add","x",1]]"#,
            r#"ok 1 5 25 [["add","x",1]]"#,
            &format!(r#"ok 2 11 20 [["count","x",{count}]]"#),
            r#"ok 3 21 30 [["add","x",1]]"#,
        ])
    };
    assert_eq!(counted(0), ["wrong-count"]);
    assert_eq!(counted(1), [""; 0]);
    assert_eq!(counted(2), [""; 0]);
    assert_eq!(counted(3), ["wrong-count"]);
}

#[test]
fn a_transaction_counts_what_it_added_before() {
    let counted = |before: i64, between: i64| {
        let ops = format!(r#"[["count","x",{before}],["add","x",2],["count","x",{between}],["add","x",2]]"#);
        found(&[&format!("ok 0 0 10 {ops}")])
    };
    assert_eq!(counted(0, 2), [""; 0]);
    assert_eq!(counted(2, 2), ["wrong-count"]);
    assert_eq!(counted(0, 4), ["wrong-count"]);
}

#[test]
fn a_counter_that_nobody_added_to_is_zero() {
    assert_eq!(found(&[r#"ok 0 0 10 [["count","x",0]]"#]), [""; 0]);
    assert_eq!(found(&[r#"ok 0 0 10 [["count","x",1]]"#]), ["wrong-count"]);
}
