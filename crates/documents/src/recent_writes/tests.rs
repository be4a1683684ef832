use std::ops::Bound;

use super::*;
use crate::KeyPart;

const TABLE: TableId = TableId(1);

fn key(number: i128) -> EncodedKey {
    EncodedKey::new(&[KeyPart::Integer(number)]).unwrap()
}

fn range(start: i128, end: i128) -> KeyRange {
    KeyRange { table: TABLE, start: Bound::Included(key(start)), end: Bound::Excluded(key(end)) }
}

fn record(recent: &mut RecentWrites, seq: u64, keys: &[i128]) {
    recent.begin(Seq(seq), keys.len());
    for number in keys {
        recent.push(TABLE, key(*number), Before::Row(Bytes::from(format!("{seq}"))));
    }
}

#[test]
fn what_was_written_since_is_found_by_key_and_by_range() {
    let mut recent = RecentWrites::with_limits(100, 1 << 20);
    record(&mut recent, 2, &[1, 5]);
    record(&mut recent, 4, &[5, 9]);
    assert!(recent.is_written(TABLE, &key(1), Seq(1)));
    assert!(!recent.is_written(TABLE, &key(1), Seq(2)));
    assert!(recent.is_written(TABLE, &key(5), Seq(3)));
    assert!(!recent.is_written(TableId(2), &key(5), Seq(0)));
    assert_eq!(recent.written_since(Seq(0)).first_in(&range(1, 9)), Some(&key(1)));
    assert_eq!(recent.written_since(Seq(2)).first_in(&range(1, 9)), Some(&key(5)));
    assert_eq!(recent.written_since(Seq(0)).first_in(&range(6, 9)), None);
    assert_eq!(recent.written_since(Seq(0)).first_in(&range(9, 1)), None, "an inverted range is empty");
    assert_eq!(recent.written_since(Seq(4)).first_in(&range(0, 100)), None);
}

#[test]
fn the_oldest_records_are_forgotten_whole_and_that_is_known() {
    let mut recent = RecentWrites::with_limits(3, 1 << 20);
    record(&mut recent, 1, &[1, 2]);
    record(&mut recent, 2, &[2]);
    assert_eq!(recent.covers(Seq(0)), Ok(()));
    record(&mut recent, 3, &[3]);
    assert_eq!(recent.covers(Seq(0)), Err(Forgotten));
    assert_eq!(recent.covers(Seq(1)), Ok(()));
    assert!(!recent.last[&TABLE].contains_key(&key(1)));
    assert!(recent.is_written(TABLE, &key(2), Seq(1)), "the later write of a key is not forgotten with the earlier");
    record(&mut recent, 4, &[1, 2, 3, 4, 5]);
    assert_eq!((recent.covers(Seq(2)), recent.covers(Seq(3))), (Err(Forgotten), Ok(())), "the newest record stays");
    assert_eq!((recent.writes, recent.records.len()), (5, 1));
}

#[test]
fn rows_before_are_known_while_they_are_remembered() {
    let mut recent = RecentWrites::with_limits(100, 1000);
    recent.begin(Seq(1), 3);
    recent.push(TABLE, key(1), Before::Absent);
    recent.push(TABLE, key(1), Before::Row(Bytes::from_static(b"old")));
    recent.push(TABLE, key(1), Before::Row(vec![0; 1000].into()));
    assert_eq!(recent.before(Seq(1), 0), Before::Absent);
    assert_eq!(recent.before(Seq(1), 1), Before::Row(Bytes::from_static(b"old")));
    assert_eq!(recent.before(Seq(1), 2), Before::Unknown, "a row that is over the limit is not kept");
    assert_eq!(recent.before(Seq(1), 3), Before::Unknown);
    record(&mut recent, 2, &[1, 2, 3, 4, 5]);
    assert_eq!(recent.before(Seq(1), 0), Before::Unknown);
}
