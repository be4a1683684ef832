use std::ops::Bound;

use bucketdb_log::{ChainHash, Entry, LogTime, NodeId, SessionId};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{Change, Condition, IndexEntry, KeyPart, KeyRange, KeyType, ReadSet, Schema};

const TABLE: TableId = TableId(1);

fn key(number: i128) -> EncodedKey {
    EncodedKey::new(&[KeyPart::Integer(number)]).unwrap()
}

fn put(number: i128) -> Change {
    let kind = ChangeKind::Put(Bytes::from_static(b"row"));
    Change { table: TABLE, key: key(number), condition: Condition::Always, kind }
}

fn write(number: i128, reads: Option<ReadSet>) -> Proposal {
    let mut write = Write::new(Arc::new(Transaction { changes: vec![put(number)] }), 0, 0);
    write.reads = reads;
    Proposal::Write(write)
}

fn writing(changes: Vec<Change>) -> Proposal {
    Proposal::Write(Write::new(Arc::new(Transaction { changes }), 0, 0))
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
    commit(&mut documents, 3, &writing(vec![delete]));
    let page = documents.scan(&Scan { range: KeyRange::all(TABLE), at: Seq(3), limit: 9 }).unwrap();
    assert_eq!(page.rows, [WrittenRow { key: key(5), row: None, version: Seq(3) }]);
    assert_eq!((documents.stats(TABLE).documents, documents.stats(TABLE).is_exact), (0, true));
    commit(&mut documents, 4, &write(6, None));
    assert_eq!(documents.stats(TABLE).documents, 1);
}

fn with_index(fields: &str) -> Documents {
    let mut documents = with_table(Documents::default());
    commit(&mut documents, 2, &Proposal::Register(Schema::open("t", "id", KeyType::Integer).with_index(fields)));
    documents
}

fn put_tags(number: i128, tags: impl Iterator<Item = u64>) -> (Change, usize) {
    let document = serde_json::json!({"id": number as u64, "tags": tags.collect::<Vec<_>>()});
    let layouts = with_table(Documents::default()).catalogue().table(TABLE).unwrap().layouts();
    let row = crate::row::encode(&document, &layouts).unwrap();
    let row_bytes = row.len();
    (Change { kind: ChangeKind::Put(row), ..put(number) }, row_bytes)
}

#[test]
fn entries_of_indexes_take_a_few_times_the_memory_of_their_rows() {
    for count in [1, 10, 100, 999, 1_000, 1_001, 50_000] {
        let (change, row_bytes) = put_tags(1, 0..count);
        let write = || writing(vec![change.clone()]);
        let (mut without, mut with) = (with_table(Documents::default()), with_index("tags[*]"));
        commit(&mut without, 3, &write());
        commit(&mut with, 3, &write());
        let more_bytes = with.overlay_bytes() - without.overlay_bytes();
        assert!(more_bytes <= 5 * row_bytes.max(256), "{more_bytes} bytes for {count} elements in {row_bytes}");
    }
}

#[test]
fn an_index_has_what_is_there_now_however_large_the_rows_were() {
    let mut documents = with_index("tags[*]");
    let index = documents.catalogue().indexes().next().unwrap().1.clone();
    let numbers = |documents: &Documents, tag: u64| -> Vec<EncodedKey> {
        let range = index.range(&[crate::IndexCondition::Equal(Some(tag.into()))]).unwrap();
        let page = documents.index_page(TABLE, &index, &range, Seq(u64::MAX)).unwrap();
        page.entries.iter().map(IndexEntry::key).collect()
    };
    let steps: [(i128, std::ops::Range<u64>); 6] =
        [(1, 0..3), (2, 2..90), (1, 2..200), (2, 3..4), (3, 2..4), (1, 3..5)];
    for (at, (number, tags)) in steps.into_iter().enumerate() {
        // The second row of a record counts.
        let changes = vec![put_tags(number, 7..8).0, put_tags(number, tags).0];
        commit(&mut documents, 3 + at as u64, &writing(changes));
        let expected: Vec<EncodedKey> = match at {
            0 => vec![key(1)],
            1 | 2 => vec![key(1), key(2)],
            3 => vec![key(1)],
            4 => vec![key(1), key(3)],
            _ => vec![key(3)],
        };
        assert_eq!(numbers(&documents, 2), expected, "after step {at}");
        assert!(numbers(&documents, 7).iter().all(|found| *found == key(1) || *found == key(2)));
    }
    let gone = Change { kind: ChangeKind::Delete, ..put(2) };
    let changes = vec![put_tags(2, 7..8).0, gone, put_tags(2, 3..4).0];
    commit(&mut documents, 20, &writing(changes));
    assert_eq!(numbers(&documents, 7), []);
    assert_eq!(numbers(&documents, 3), [key(1), key(2), key(3)]);
}

fn any_changes() -> impl Strategy<Value = Vec<(i128, Option<std::ops::Range<u64>>)>> {
    let tags =
        prop_oneof![3 => (0u64..5, 0u64..4).prop_map(|(first, count)| Some(first..first + count)), 1 => Just(None)];
    prop::collection::vec((0i128..6, tags), 1..4)
}

proptest! {
    /// What is in memory behind a checkpoint is what its later records alone would leave there.
    #[test]
    fn behind_a_checkpoint_is_what_was_written_behind_it(
        records in prop::collection::vec(any_changes(), 1..20),
        covers in any::<prop::sample::Index>(),
        is_read: bool,
    ) {
        let covers = Seq(2 + covers.index(records.len() + 1) as u64);
        let (mut all, mut later) = (with_index("tags[*]"), with_index("tags[*]"));
        all.present.overlay.set_over_runs();
        later.present.overlay.set_over_runs();
        if is_read {
            all.present.overlay.pin(Seq(2));
        }
        for (at, changes) in records.into_iter().enumerate() {
            let seq = 3 + at as u64;
            let changes = changes.into_iter().map(|(number, tags)| match tags {
                Some(tags) => put_tags(number, tags).0,
                None => Change { kind: ChangeKind::Delete, ..put(number) },
            });
            let changes: Vec<Change> = changes.collect();
            commit(&mut all, seq, &writing(changes.clone()));
            if Seq(seq) > covers {
                commit(&mut later, seq, &writing(changes));
            }
        }
        let (split, _) = all.present.overlay.split_off(covers);
        let expected = &later.present.overlay;
        let scan = Scan { range: KeyRange::all(TABLE), at: Seq(u64::MAX), limit: usize::MAX };
        prop_assert_eq!(split.scan(&scan), expected.scan(&scan));
        prop_assert_eq!(split.size(TABLE), expected.size(TABLE));
        let entry = later.catalogue().table(TABLE).unwrap();
        let index = later.catalogue().indexes().next().unwrap().1;
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let found = |overlay: &Overlay| overlay.index_entries(entry, index, &everything, Seq(u64::MAX));
        prop_assert_eq!(found(&split), found(expected));
    }
}
