//! Transfers and balances.

use crate::support::{history, names};
use bucketdb_history::{Bank, check_bank};

fn found(lines: &[&str]) -> Vec<String> {
    let bank = Bank::starting_with([("a".to_owned(), 10), ("b".to_owned(), 10), ("c".to_owned(), 0)].into());
    names(check_bank(&history(lines), &bank))
}

#[test]
fn balances_that_some_transfers_explain_are_valid() {
    let lines = [
        r#"ok 0 0 10 [["transfer","a","b",3]]"#,
        r#"fail 1 0 10 [["transfer","a","b",10]]"#,
        r#"info 2 0 10 [["transfer","b","c",5]]"#,
        r#"ok 3 5 15 [["balances",{"a":10,"b":10,"c":0}]]"#,
        r#"ok 3 16 20 [["balances",{"a":7,"b":8,"c":5}]]"#,
        r#"ok 3 21 25 [["transfer","c","a",1],["balances",{"a":8,"b":8,"c":4}],["transfer","c","a",1]]"#,
        r#"ok 3 26 30 [["balances",{"a":9,"b":8,"c":3}]]"#,
    ];
    assert_eq!(found(&lines), [""; 0]);
    let summary = check_bank(&history(&lines), &Bank::holding(20)).unwrap();
    assert_eq!((summary.writes, summary.reads), (3, 4));
}

#[test]
fn a_wrong_total_is_found() {
    let lines = [r#"ok 3 5 15 [["balances",{"a":9,"b":10,"c":0}]]"#];
    assert_eq!(found(&lines), ["wrong-total"]);
    assert_eq!(names(check_bank(&history(&lines), &Bank::holding(20))), ["wrong-total"]);
}

#[test]
fn a_negative_balance_is_found_unless_there_may_be_debts() {
    let lines = [r#"ok 0 0 10 [["transfer","c","a",1]]"#, r#"ok 3 15 20 [["balances",{"a":11,"b":10,"c":-1}]]"#];
    assert_eq!(found(&lines), ["negative-balance"]);
    assert_eq!(names(check_bank(&history(&lines), &Bank::holding(20).with_debts())), [""; 0]);
}

#[test]
fn a_lost_transfer_is_a_wrong_balance() {
    let lines = [r#"ok 0 0 10 [["transfer","a","b",3]]"#, r#"ok 3 11 15 [["balances",{"a":10,"b":10,"c":0}]]"#];
    assert_eq!(found(&lines), ["wrong-balance"]);
}

#[test]
fn a_failed_transfer_that_is_seen_is_a_wrong_balance() {
    let lines = [r#"fail 0 0 10 [["transfer","a","b",3]]"#, r#"ok 3 11 15 [["balances",{"a":7,"b":13,"c":0}]]"#];
    assert_eq!(found(&lines), ["wrong-balance"]);
}

#[test]
fn a_transfer_seen_before_it_began_is_a_wrong_balance() {
    let lines = [r#"ok 3 1 5 [["balances",{"a":7,"b":13,"c":0}]]"#, r#"ok 0 6 10 [["transfer","a","b",3]]"#];
    assert_eq!(found(&lines), ["wrong-balance"]);
}

#[test]
fn half_a_transfer_of_unknown_outcome_is_a_wrong_balance() {
    // Each balance is within its limits, and only together they are impossible.
    let lines = [
        r#"info 0 0 10 [["transfer","a","b",3]]"#,
        r#"info 1 0 10 [["transfer","a","c",4]]"#,
        r#"ok 3 11 15 [["balances",{"a":7,"b":10,"c":3}]]"#,
    ];
    assert_eq!(found(&lines), ["wrong-balance"]);
}
