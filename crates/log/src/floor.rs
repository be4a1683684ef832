use bytes::Bytes;

use crate::Seq;
use crate::codec::{self, Malformed, Reader};

/// The payload of a record that raises the floor.
pub(crate) fn encode(floor: Seq) -> Bytes {
    let mut payload = Vec::new();
    codec::put_varint(&mut payload, floor.0);
    payload.into()
}

pub(crate) fn decode(payload: Bytes) -> Result<Seq, Malformed> {
    let mut reader = Reader::new(payload);
    let floor = Seq(reader.varint()?);
    reader.finish()?;
    Ok(floor)
}
