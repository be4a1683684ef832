use std::time::Duration;

use bucketdb::TableStats;

/// A size in bytes as people read it.
pub(crate) fn bytes(size_bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if size_bytes < 1024 {
        return format!("{size_bytes} B");
    }
    let mut size = size_bytes as f64 / 1024.0;
    let mut unit = "KiB";
    for larger in UNITS.iter().skip(1) {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    format!("{size:.1} {unit}")
}

/// A number with a comma between thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "1 document", "2 documents".
pub(crate) fn plural(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{} {noun}s", count(number)) }
}

/// A stretch of time with three digits or so.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        _ if seconds >= 100.0 => format!("{seconds:.0} s"),
        _ if seconds >= 1.0 => format!("{seconds:.1} s"),
        _ if seconds >= 0.1 => format!("{:.0} ms", seconds * 1e3),
        _ if seconds >= 1e-3 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{:.0} µs", seconds * 1e6),
    }
}

/// A stretch of time that may be long, without the parts that do not matter then.
pub(crate) fn long_duration(length: Duration) -> String {
    match length.as_secs() {
        0..=99 => duration(length),
        seconds @ 100..=5_999 => format!("{} min", seconds.div_ceil(60)),
        seconds @ 6_000..=172_799 => format!("{:.1} h", seconds as f64 / 3_600.0),
        seconds => format!("{:.1} d", seconds as f64 / 86_400.0),
    }
}

/// How many documents a table has.
pub(crate) fn document_count(stats: &TableStats) -> String {
    about(stats, count(stats.documents))
}

/// How many bytes a table takes.
pub(crate) fn stored_size(stats: &TableStats) -> String {
    about(stats, bytes(stats.size_bytes))
}

/// What counts rows of runs is not exact: of a row that was written again, both versions may be there.
fn about(stats: &TableStats, text: String) -> String {
    if stats.is_exact { text } else { format!("about {text}") }
}

/// An amount of money that may be tiny.
pub(crate) fn usd(amount: f64) -> String {
    match amount {
        0.0 => "0".to_owned(),
        _ if amount >= 0.01 => format!("{amount:.2}"),
        _ if amount >= 0.000_001 => format!("{amount:.6}"),
        _ => "< 0.000001".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 1023, 1024, 1536, 5 << 20, u64::MAX].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 MiB", "16384.0 PiB"]
        );
        assert_eq!([0, 999, 1000, 28_298, 1_234_567].map(count), ["0", "999", "1,000", "28,298", "1,234,567"]);
        assert_eq!([0.0, 1e-9, 0.0000224, 0.5, 12.345].map(usd), ["0", "< 0.000001", "0.000022", "0.50", "12.35"]);
        assert_eq!(plural(1, "table"), "1 table");
        assert_eq!(plural(2000, "table"), "2,000 tables");
        let shown = [7, 1_500, 250_000, 1_250_000, 200_000_000].map(|us| duration(Duration::from_micros(us)));
        assert_eq!(shown, ["7 µs", "1.5 ms", "250 ms", "1.2 s", "200 s"]);
        let shown = [42, 3_541, 3_600, 9_000, 604_800].map(|seconds| long_duration(Duration::from_secs(seconds)));
        assert_eq!(shown, ["42.0 s", "60 min", "60 min", "2.5 h", "7.0 d"]);
        let mut stats = TableStats { documents: 1_234, size_bytes: 2_048, is_exact: true };
        assert_eq!((document_count(&stats), stored_size(&stats)), ("1,234".to_owned(), "2.0 KiB".to_owned()));
        stats.is_exact = false;
        assert_eq!(
            (document_count(&stats), stored_size(&stats)),
            ("about 1,234".to_owned(), "about 2.0 KiB".to_owned())
        );
    }
}
