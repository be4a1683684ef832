use std::ops::Bound;

use bucketdb_log::{ChainHash, Entry, LogTime, NodeId, SessionId};
use bytes::Bytes;

use super::*;
use crate::{Change, Condition, KeyPart, KeyRange, KeyType, ReadSet, Schema};

const TABLE: TableId = TableId(1);

fn key(number: i128) -> EncodedKey {
    EncodedKey::new(&[KeyPart::Integer(number)]).unwrap()
}

fn put(number: i128) -> Change {
    let kind = ChangeKind::Put(Bytes::from_static(b"row"));
    Change { table: TABLE, key: key(number), condition: Condition::Always, kind }
}

fn write(number: i128, reads: Option<ReadSet>) -> Proposal {
    Proposal::Write { transaction: Transaction { changes: vec![put(number)] }, reads, facts: None }
}

/// Applies what a proposal adds to the log at a position.
fn commit(documents: &mut Documents, seq: u64, proposal: &Proposal) {
    let Validated { kind, payload, .. } = documents.validate(&mut Group::default(), proposal).unwrap();
    let record = Record {
        kind,
        seq: Seq(seq),
        time: LogTime::default(),
        node: NodeId::default(),
        session: SessionId::default(),
        previous: ChainHash::default(),
        entries: vec![Entry { counter: seq, payload }],
    };
    documents.apply(&record).unwrap();
}

fn with_table(documents: Documents) -> Documents {
    let mut documents = documents;
    commit(&mut documents, 1, &Proposal::Register(Schema::open("t", "id", KeyType::Integer)));
    documents
}

fn read_key(at: u64, number: i128) -> ReadSet {
    let mut reads = ReadSet::new(Seq(at));
    reads.keys.insert((TABLE, key(number)));
    reads
}

fn read_range(at: u64, start: i128, end: i128) -> ReadSet {
    let mut reads = ReadSet::new(Seq(at));
    reads.ranges.push(KeyRange { table: TABLE, start: Bound::Included(key(start)), end: Bound::Excluded(key(end)) });
    reads
}

#[test]
fn a_write_is_valid_while_what_it_read_is_unwritten() {
    let mut documents = with_table(Documents::default());
    commit(&mut documents, 2, &write(5, None));
    let check = |documents: &Documents, reads| documents.validate(&mut Group::default(), &write(9, Some(reads)));
    let changed = Err(Refusal::ReadChanged { table: TABLE, key: key(5) });
    assert_eq!(check(&documents, read_key(1, 5)), changed);
    assert_eq!(check(&documents, read_range(1, 3, 6)), changed);
    for valid in [read_key(2, 5), read_key(1, 6), read_range(2, 3, 6), read_range(1, 6, 9), read_range(1, 3, 5)] {
        assert!(check(&documents, valid).is_ok());
    }
    let mut reads = ReadSet::new(Seq(1));
    reads.absent_tables.insert("u".to_owned());
    assert!(check(&documents, reads.clone()).is_ok());
    commit(&mut documents, 3, &Proposal::Register(Schema::open("u", "id", KeyType::Integer)));
    assert_eq!(check(&documents, reads), Err(Refusal::TableCreated("u".to_owned())));
}

#[test]
fn a_write_is_validated_against_the_earlier_members_of_its_group() {
    let documents = with_table(Documents::default());
    let mut group = Group::default();
    documents.validate(&mut group, &write(5, Some(read_key(1, 6)))).unwrap();
    let changed = Err(Refusal::ReadChanged { table: TABLE, key: key(5) });
    assert_eq!(documents.validate(&mut group, &write(7, Some(read_key(1, 5)))), changed);
    assert_eq!(documents.validate(&mut group, &write(7, Some(read_range(1, 0, 9)))), changed);
    documents.validate(&mut group, &write(7, Some(read_range(1, 6, 9)))).unwrap();
    let changed = Err(Refusal::ReadChanged { table: TABLE, key: key(7) });
    assert_eq!(documents.validate(&mut group, &write(8, Some(read_range(1, 6, 9)))), changed);
}

#[test]
fn what_is_too_old_to_tell_is_refused_whether_or_not_it_was_written() {
    let mut documents = with_table(Documents { recent: RecentWrites::with_limits(2, 1 << 20), ..Documents::default() });
    for seq in 2..6 {
        commit(&mut documents, seq, &write(i128::from(seq), None));
    }
    assert_eq!(documents.check_reads(&read_key(2, 99)), Err(Refusal::ReadsTooOld { at: Seq(2) }));
    assert_eq!(documents.check_reads(&read_key(3, 99)), Ok(()));
    assert_eq!(documents.check_reads(&ReadSet::new(Seq(0))), Ok(()), "who read nothing cannot be too old");
}

/// A deletion that another process's checkpoint does not cover must hide the row that this checkpoint brings.
#[test]
fn a_deletion_before_the_first_checkpoint_is_kept_for_it() {
    let mut documents = with_table(Documents::over_runs(Arc::new(|_| unreachable!("nothing is read from runs"))));
    commit(&mut documents, 2, &write(5, None));
    let delete = Change { kind: ChangeKind::Delete, ..put(5) };
    let transaction = Transaction { changes: vec![delete] };
    commit(&mut documents, 3, &Proposal::Write { transaction, reads: None, facts: None });
    let page = documents.scan(&Scan { range: KeyRange::all(TABLE), at: Seq(3), limit: 9 }).unwrap();
    assert_eq!(page.rows, [WrittenRow { key: key(5), row: None, version: Seq(3) }]);
    assert_eq!((documents.stats(TABLE).documents, documents.stats(TABLE).is_exact), (0, true));
    commit(&mut documents, 4, &write(6, None));
    assert_eq!(documents.stats(TABLE).documents, 1);
}
