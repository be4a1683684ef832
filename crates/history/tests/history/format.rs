//! Histories as files.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufReader, Read};

use bucketdb_history::{History, HistoryError, HistoryWriter, Key, Op, Outcome, Transaction};

const EVERYTHING: &str = r#"
{"type":"ok","process":0,"start":10,"end":20,"ops":[["append",7,18446744073709551615],["r","x",[1,2]]]}
{"type":"fail","process":1,"start":10,"end":20,"ops":[["r","x",null],["balances",null],["count","c",null]]}
{"type":"info","process":2,"start":10,"end":20,"ops":[["transfer","a","b",5],["balances",{"a":-5,"b":5}]]}
{"type":"ok","process":3,"start":10,"end":20,"ops":[["w","r",1],["rr","r",1],["rr","q",null]]}
{"type":"ok","process":4,"start":10,"end":20,"ops":[["add","c",-3],["count","c",-3]]}
{"type":"ok","process":5,"start":10,"end":20,"ops":[["claim","e","ada"],["owner","e","ada"],["owner",5,null]],"seq":99}
"#;

#[test]
fn every_kind_of_operation_is_written_as_it_was_read() {
    let history = History::read(EVERYTHING.as_bytes()).unwrap();
    let mut writer = HistoryWriter::new(Vec::new());
    history.0.iter().for_each(|transaction| writer.write(transaction).unwrap());
    assert_eq!(String::from_utf8(writer.into_inner()).unwrap(), EVERYTHING.trim_start());
}

#[test]
fn operations_mean_what_their_names_say() {
    let history = History::read(EVERYTHING.as_bytes()).unwrap();
    let append = Op::Append { key: Key::Number(7), value: u64::MAX };
    assert_eq!(history.0[0].ops, [append, Op::read("x", [1, 2])]);
    assert_eq!(history.0[1].outcome, Outcome::Fail);
    assert_eq!(history.0[1].ops[0], Op::Read { key: "x".into(), values: None });
    let balances = BTreeMap::from([("a".to_owned(), -5), ("b".to_owned(), 5)]);
    assert_eq!(history.0[2].ops[1], Op::Balances(Some(balances)));
    assert_eq!(history.0[5].seq, Some(99));
}

#[test]
fn empty_lines_and_unknown_fields_are_skipped() {
    let file = "\n{\"type\":\"ok\",\"process\":0,\"start\":1,\"end\":1,\"ops\":[],\"node\":\"a\"}\n\n";
    let transaction = Transaction { outcome: Outcome::Ok, process: 0, start: 1, end: 1, ops: vec![], seq: None };
    assert_eq!(History::read(file.as_bytes()).unwrap(), History(vec![transaction]));
}

#[test]
fn a_malformed_line_is_named_with_its_mistake() {
    let mistakes = [
        (r#"{"type":"ok","process":0,"start":2,"end":1,"ops":[]}"#, "it ends before it starts"),
        (r#"{"type":"ok","process":0,"start":1,"end":2,"ops":[["r","x",null]]}"#, "does not tell what it read"),
        (r#"{"type":"ok","process":0,"start":1,"end":2,"ops":[["append","x"]]}"#, "append lacks a value"),
        (r#"{"type":"ok","process":0,"start":1,"end":2,"ops":[["append","x",1,2]]}"#, "too many parts"),
        (r#"{"type":"ok","process":0,"start":1,"end":2,"ops":[["append",-1,2]]}"#, "a key is a text or a whole number"),
        (r#"{"type":"ok","process":0,"start":1,"end":2,"ops":[["erase","x"]]}"#, "no operation called erase"),
        (r#"{"type":"maybe","process":0,"start":1,"end":2,"ops":[]}"#, "unknown variant `maybe`"),
        (r#"{"type":"ok","proc"#, "at column 18"),
    ];
    let good = r#"{"type":"ok","process":0,"start":1,"end":2,"ops":[]}"#;
    for (line, mistake) in mistakes {
        let error = History::read(format!("{good}\n\n{line}\n").as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("line 3 of the history is not a transaction: "), "{error}");
        assert!(error.contains(mistake), "{error} does not say {mistake}");
        assert!(!error.contains("line 1"), "{error}");
    }
}

#[test]
fn a_failing_reader_is_told_from_a_bad_line() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("unplugged"))
        }
    }
    let error = History::read(BufReader::new(Broken)).unwrap_err();
    assert!(matches!(error, HistoryError::Io { line: 1, .. }));
    assert_eq!(error.source().unwrap().to_string(), "unplugged");
}
