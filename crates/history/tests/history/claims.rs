//! Things that one can have only.

use crate::support::{history, names};
use bucketdb_history::check_claims;

fn found(lines: &[&str]) -> Vec<String> {
    names(check_claims(&history(lines)))
}

#[test]
fn one_winner_is_valid() {
    let lines = [
        r#"ok 0 0 10 [["claim","e",1],["owner","e",1]]"#,
        r#"fail 1 0 10 [["claim","e",2]]"#,
        r#"info 2 0 10 [["claim","e",3]]"#,
        r#"info 2 0 10 [["claim","f",3]]"#,
        r#"ok 3 5 15 [["owner","e",null]]"#,
        r#"ok 3 16 20 [["owner","e",1],["owner","f",3]]"#,
    ];
    let summary = check_claims(&history(&lines)).unwrap();
    assert_eq!((summary.keys, summary.writes, summary.reads), (2, 1, 4));
}

#[test]
fn two_acknowledged_claims_are_found() {
    let lines = [r#"ok 0 0 10 [["claim","e",1]]"#, r#"ok 1 11 20 [["claim","e",2]]"#];
    assert_eq!(found(&lines), ["claimed-twice"]);
}

#[test]
fn a_failed_claim_must_not_be_seen() {
    let lines = [r#"fail 0 0 10 [["claim","e",1]]"#, r#"ok 1 11 20 [["owner","e",1]]"#];
    assert_eq!(found(&lines), ["G1a"]);
}

#[test]
fn a_failed_claim_may_be_seen_if_another_of_the_same_owner_may_have_happened() {
    let lines =
        [r#"info 0 0 10 [["claim","e",1]]"#, r#"fail 0 0 10 [["claim","e",1]]"#, r#"ok 1 11 20 [["owner","e",1]]"#];
    assert_eq!(found(&lines), [""; 0]);
}

#[test]
fn an_owner_who_never_claimed_is_found() {
    assert_eq!(found(&[r#"ok 1 11 20 [["owner","e",1]]"#]), ["garbage-read"]);
}

#[test]
fn a_claim_that_vanished_is_found() {
    let lines = [r#"ok 0 0 10 [["claim","e",1]]"#, r#"ok 1 11 20 [["owner","e",null]]"#];
    assert_eq!(found(&lines), ["lost-claim"]);
    let seen =
        [r#"info 0 0 10 [["claim","e",1]]"#, r#"ok 1 11 20 [["owner","e",1]]"#, r#"ok 1 21 30 [["owner","e",null]]"#];
    assert_eq!(found(&seen), ["lost-claim"]);
}

#[test]
fn an_owner_other_than_the_acknowledged_is_found() {
    let lines =
        [r#"ok 0 0 10 [["claim","e",1]]"#, r#"info 1 0 10 [["claim","e",2]]"#, r#"ok 2 11 20 [["owner","e",2]]"#];
    assert_eq!(found(&lines), ["wrong-owner"]);
}
