//! Values in lists that must not be there, or must.

use crate::support::{PLAIN, STRICT, found, only};

#[test]
fn g1a_is_found() {
    let lines = [r#"fail 0 0 10 [["append","x",1]]"#, r#"ok 1 0 10 [["r","x",[1]]]"#];
    assert_eq!(only(&lines, PLAIN, "G1a").transactions(), [0, 1]);
}

#[test]
fn g1a_is_found_in_the_middle_of_a_list_and_named_by_its_first_reader() {
    let lines = [
        r#"ok 0 0 10 [["append","x",1]]"#,
        r#"fail 1 0 10 [["append","x",2]]"#,
        r#"ok 2 0 10 [["append","x",3]]"#,
        r#"ok 3 6 30 [["r","x",[1,2,3]]]"#,
        r#"ok 4 5 30 [["r","x",[1,2]]]"#,
    ];
    assert_eq!(only(&lines, STRICT, "G1a").transactions(), [1, 4]);
}

#[test]
fn g1b_is_found() {
    let lines = [
        r#"ok 0 0 10 [["append","x",1],["append","x",2]]"#,
        r#"ok 1 0 10 [["r","x",[1]]]"#,
        r#"ok 2 0 10 [["r","x",[1,2]]]"#,
    ];
    assert_eq!(only(&lines, PLAIN, "G1b").transactions(), [0, 1]);
}

#[test]
fn g1b_is_found_if_the_rest_was_never_read() {
    let lines = [r#"ok 0 0 10 [["append","x",1],["append","x",2]]"#, r#"ok 1 0 10 [["r","x",[1]]]"#];
    assert_eq!(only(&lines, STRICT, "G1b").transactions(), [0, 1]);
}

#[test]
fn a_transaction_may_read_between_its_own_appends() {
    let lines = [r#"ok 0 0 10 [["append","x",1],["r","x",[1]],["append","x",2]]"#, r#"ok 1 0 20 [["r","x",[1,2]]]"#];
    assert_eq!(found(&lines, STRICT), [""; 0]);
}

#[test]
fn internal_is_found_if_a_transaction_misses_its_own_append() {
    let lines = [r#"ok 0 0 10 [["append","x",1],["r","x",[]]]"#, r#"ok 1 0 20 [["r","x",[1]]]"#];
    assert_eq!(only(&lines, STRICT, "internal").transactions(), [0]);
}

#[test]
fn internal_is_found_if_two_reads_of_a_transaction_differ() {
    let lines = [r#"ok 0 0 10 [["append","x",1]]"#, r#"ok 1 0 20 [["r","x",[]],["r","x",[1]]]"#];
    assert!(found(&lines, PLAIN).contains(&"internal".to_owned()));
}

#[test]
fn internal_is_found_if_a_transaction_reads_what_it_appends_later() {
    let lines = [r#"ok 0 0 10 [["r","x",[1]],["append","x",1]]"#];
    assert_eq!(only(&lines, STRICT, "internal").transactions(), [0]);
}

#[test]
fn internal_is_found_if_something_comes_after_the_own_append() {
    let lines = [r#"ok 0 0 10 [["append","x",1],["r","x",[1,2]]]"#, r#"ok 1 0 10 [["append","x",2]]"#];
    assert!(found(&lines, PLAIN).contains(&"internal".to_owned()));
}

#[test]
fn a_garbage_read_is_found() {
    let lines = [r#"ok 0 0 10 [["append","x",1]]"#, r#"ok 1 0 10 [["r","x",[1,7]]]"#];
    assert_eq!(only(&lines, STRICT, "garbage-read").transactions(), [1]);
}

#[test]
fn a_duplicate_element_is_found() {
    let lines = [r#"ok 0 0 10 [["append","x",1]]"#, r#"ok 1 0 10 [["r","x",[1,1]]]"#, r#"ok 2 0 10 [["r","x",[1]]]"#];
    assert_eq!(only(&lines, STRICT, "duplicate-element").transactions(), [1]);
}

#[test]
fn a_duplicate_element_in_the_only_read_is_found() {
    let lines = [r#"ok 0 0 10 [["append","x",1]]"#, r#"ok 1 11 20 [["r","x",[1,1]]]"#];
    assert_eq!(only(&lines, STRICT, "duplicate-element").transactions(), [1]);
}

#[test]
fn an_incompatible_order_is_found() {
    let lines = [
        r#"ok 0 0 10 [["append","x",1]]"#,
        r#"ok 1 0 10 [["append","x",2]]"#,
        r#"ok 2 0 20 [["r","x",[1,2]]]"#,
        r#"ok 3 0 20 [["r","x",[2]]]"#,
    ];
    assert_eq!(only(&lines, STRICT, "incompatible-order").transactions(), [3, 2]);
}

#[test]
fn appends_of_a_transaction_in_the_wrong_order_are_found() {
    let lines = [r#"ok 0 0 10 [["append","x",1],["append","x",2]]"#, r#"ok 1 0 10 [["r","x",[2,1]]]"#];
    assert_eq!(only(&lines, STRICT, "incompatible-order").transactions(), [0, 1]);
}

#[test]
fn a_later_append_of_a_transaction_without_an_earlier_is_found() {
    let lines = [r#"info 0 0 10 [["append","x",1],["append","x",2]]"#, r#"ok 1 0 10 [["r","x",[2]]]"#];
    assert_eq!(only(&lines, STRICT, "incompatible-order").transactions(), [0, 1]);
}

#[test]
fn a_lost_append_is_found() {
    let lines = [r#"ok 0 0 10 [["append","x",1]]"#, r#"ok 1 0 10 [["append","x",2]]"#, r#"ok 2 11 20 [["r","x",[2]]]"#];
    assert_eq!(only(&lines, STRICT, "lost-append").transactions(), [0, 2]);
    assert_eq!(found(&lines, PLAIN), [""; 0]);
}

#[test]
fn an_append_that_no_read_began_after_is_not_lost() {
    let lines = [r#"ok 0 0 10 [["append","x",1]]"#, r#"ok 1 9 20 [["r","x",[]]]"#];
    assert_eq!(found(&lines, STRICT), [""; 0]);
}

#[test]
fn a_reused_value_is_found() {
    let lines = [r#"ok 0 0 10 [["append","x",1]]"#, r#"ok 1 0 10 [["append","x",1]]"#, r#"ok 2 11 20 [["r","x",[1]]]"#];
    assert_eq!(only(&lines, STRICT, "reused-value").transactions(), [0, 1]);
}
