//! Registers whose values are versions.

use crate::support::{PLAIN, STRICT, history, names};
use bucketdb_history::{Options, check_register};

fn found(lines: &[&str], options: Options) -> Vec<String> {
    names(check_register(&history(lines), options))
}

#[test]
fn rising_versions_are_valid() {
    let lines = [
        r#"ok 0 0 10 [["rr","x",null],["w","x",1],["rr","x",1]]"#,
        r#"info 1 0 10 [["w","x",2],["rr","x",9]]"#,
        r#"ok 2 11 20 [["rr","x",1]]"#,
        r#"ok 2 21 30 [["rr","x",2]]"#,
    ];
    let summary = check_register(&history(&lines), STRICT).unwrap();
    assert_eq!((summary.keys, summary.writes, summary.reads), (1, 1, 4));
}

#[test]
fn a_process_must_not_read_an_older_version_than_before() {
    let lines = [
        r#"ok 0 0 10 [["w","x",1]]"#,
        r#"ok 1 11 20 [["w","x",2]]"#,
        r#"ok 2 21 30 [["rr","x",2]]"#,
        r#"ok 2 31 40 [["rr","x",1]]"#,
    ];
    assert_eq!(found(&lines, Options { real_time: false, process_order: true }), ["went-backwards"]);
    assert_eq!(found(&lines, PLAIN), [""; 0]);
}

#[test]
fn another_process_must_not_either_in_real_time() {
    let lines = [r#"ok 0 0 10 [["w","x",2]]"#, r#"ok 1 11 20 [["rr","x",null]]"#];
    assert_eq!(found(&lines, STRICT), ["went-backwards"]);
    assert_eq!(found(&lines, Options { real_time: false, process_order: true }), [""; 0]);
}

#[test]
fn concurrent_reads_may_see_either_version() {
    let lines = [r#"ok 0 0 10 [["w","x",2]]"#, r#"ok 1 10 20 [["rr","x",null]]"#, r#"ok 2 10 20 [["rr","x",2]]"#];
    assert_eq!(found(&lines, STRICT), [""; 0]);
}

#[test]
fn a_transaction_must_read_what_it_wrote() {
    assert_eq!(found(&[r#"ok 0 0 10 [["w","x",2],["rr","x",1]]"#], PLAIN), ["went-backwards"]);
}

#[test]
fn a_failed_write_must_not_be_read() {
    let lines = [r#"fail 0 0 10 [["w","x",2]]"#, r#"ok 1 0 10 [["rr","x",2]]"#];
    assert_eq!(found(&lines, PLAIN), ["G1a"]);
}
