//! Compression of a part's body.
//!
//! LZ4 was chosen over zstd: it gives memory back four times as fast, which is most of what a cold read or a merge costs in
//! processor time, and needs no C compiler. Zstd would save more than a quarter of the stored bytes; a number before each body says
//! how it is compressed, so it can be added. `measure_compression`, blocks of 64 KiB of rows like MessagePack documents, on
//! a shared machine, in processor time:
//!
//! | | stored size | in, MB/s | out, MB/s |
//! |---|---|---|---|
//! | LZ4 (`lz4_flex`, without unsafe code) | 0.52 | 369 | 1967 |
//! | zstd -3 | 0.46 | 282 | 714 |
//! | zstd 1 | 0.37 | 230 | 544 |
//! | zstd 3 | 0.36 | 193 | 762 |

use bytes::Bytes;

use crate::error::Fault;

/// How the body of a part is compressed. The numbers are stored and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Compression {
    None = 0,
    Lz4 = 1,
}

/// Bodies below this many bytes are stored as they are: compression would save less than it costs to undo.
const MIN_COMPRESSED_BYTES: usize = 128;

/// Appends `body` to `out`, compressed if that makes it shorter by an eighth at least: less is not worth the time of
/// every later read.
pub(crate) fn compress(body: &[u8], out: &mut Vec<u8>) -> Compression {
    if body.len() >= MIN_COMPRESSED_BYTES {
        let start = out.len();
        out.resize(start + lz4_flex::block::get_maximum_output_size(body.len()), 0);
        let room = out.get_mut(start..).unwrap_or_default();
        if let Ok(length) = lz4_flex::block::compress_into(body, room)
            && length < body.len() - body.len() / 8
        {
            out.truncate(start + length);
            return Compression::Lz4;
        }
        out.truncate(start);
    }
    out.extend_from_slice(body);
    Compression::None
}

/// The body of `size_bytes` whose stored form is `stored`. It never shares memory with the stored form, which may be a
/// small piece of much more that was read.
pub(crate) fn decompress(compression: u8, stored: &[u8], size_bytes: usize) -> Result<Bytes, Fault> {
    if compression == Compression::None as u8 {
        return if stored.len() == size_bytes {
            Ok(Bytes::copy_from_slice(stored))
        } else {
            Err(Fault::Damaged("a part has another size than it says"))
        };
    }
    if compression != Compression::Lz4 as u8 {
        return Err(Fault::Newer(format!("it has compression {compression}, and this version knows 0 and 1")));
    }
    match lz4_flex::block::decompress(stored, size_bytes) {
        Ok(body) if body.len() == size_bytes => Ok(body.into()),
        _ => Err(Fault::Damaged("a part does not decompress to the size that it says")),
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::time::Duration;

    use bucketdb_log::Seq;
    use proptest::prelude::*;

    use super::*;
    use crate::block::BlockBuilder;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(piece in prop::collection::vec(any::<u8>(), 0..40), times in 1usize..40) {
            let body = piece.repeat(times);
            let mut out = b"before".to_vec();
            let compression = compress(&body, &mut out);
            prop_assert_eq!(&out[..6], b"before");
            prop_assert!(out.len() - 6 <= body.len());
            prop_assert_eq!(decompress(compression as u8, &out[6..], body.len()).unwrap(), body);
        }

        #[test]
        fn no_bytes_make_it_panic(compression in 0u8..3, bytes in prop::collection::vec(any::<u8>(), 0..60), size in 0usize..200) {
            if let Ok(body) = decompress(compression, &bytes, size) {
                prop_assert_eq!(body.len(), size);
            }
        }
    }

    /// The body of a block of 64 KiB with rows that look like MessagePack documents.
    fn block_of_documents(first: u64) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(first);
        let words = ["north", "harbour", "invoice", "pending", "delivered", "gold", "standard", "priority"];
        let (mut builder, mut body) = (BlockBuilder::default(), Vec::new());
        let mut number = first;
        while builder.size_bytes() < 64 << 10 {
            let mut row = Vec::new();
            for field in ["name", "status", "street", "city", "note"] {
                let letters: String = (0..8).map(|_| random.lowercase()).collect();
                for text in [field, words[random.usize(..words.len())], &letters] {
                    row.push(0xa0 | text.len() as u8);
                    row.extend_from_slice(text.as_bytes());
                }
            }
            for field in ["amount_cents", "created_at"] {
                row.push(0xa0 | field.len() as u8);
                row.extend_from_slice(field.as_bytes());
                row.push(0xcf);
                row.extend_from_slice(&random.u64(..1 << 40).to_be_bytes());
            }
            builder.add(format!("customer/{number:012}").as_bytes(), Seq(number), Some(&row));
            number += 1;
        }
        builder.finish(&mut body);
        body
    }

    fn now() -> Duration {
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
    }

    #[test]
    #[ignore = "measures, and judges nothing"]
    fn measure_compression() {
        let bodies: Vec<Vec<u8>> = (0..300).map(|number| block_of_documents(number * 1000)).collect();
        let bytes: usize = bodies.iter().map(Vec::len).sum();
        let report = |what: &str, compress: &dyn Fn(&[u8]) -> Vec<u8>, decompress: &dyn Fn(&[u8], usize) -> Vec<u8>| {
            let before = now();
            let stored: Vec<Vec<u8>> = bodies.iter().map(|body| compress(body)).collect();
            let between = now();
            for (stored, body) in stored.iter().zip(&bodies) {
                assert_eq!(black_box(decompress(stored, body.len())).len(), body.len());
            }
            let after = now();
            let speed = |took: Duration| bytes as f64 / 1e6 / took.as_secs_f64();
            println!(
                "{what}: {:.2} of the size, {:.0} MB/s in, {:.0} MB/s out",
                stored.iter().map(Vec::len).sum::<usize>() as f64 / bytes as f64,
                speed(between - before),
                speed(after - between)
            );
        };
        report("LZ4", &lz4_flex::block::compress, &|stored, size| lz4_flex::block::decompress(stored, size).unwrap());
        for level in [-3, 1, 3] {
            report(&format!("zstd {level}"), &|body| zstd::bulk::compress(body, level).unwrap(), &|stored, size| {
                zstd::bulk::decompress(stored, size).unwrap()
            });
        }
    }
}
