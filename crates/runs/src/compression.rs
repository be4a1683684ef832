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
