use arbitrary::Arbitrary;
use bytes::Bytes;

/// A change to the bytes of an object.
#[derive(Arbitrary, Debug)]
pub enum Edit {
    Set { at: u16, to: u8 },
    Flip { at: u16, bit: u8 },
    Insert { at: u16, bytes: Vec<u8> },
    Remove { at: u16, count: u8 },
    Replace { at: u16, bytes: Vec<u8> },
    Cut { at: u16 },
    All { bytes: Vec<u8> },
}

/// The bytes after all changes, one after the other.
pub fn edited(body: &Bytes, edits: &[Edit]) -> Bytes {
    let mut body = body.to_vec();
    for edit in edits {
        let place = |at: u16| (usize::from(at)).min(body.len().saturating_sub(1));
        match edit {
            Edit::Set { at, to } => {
                let place = place(*at);
                if let Some(byte) = body.get_mut(place) {
                    *byte = *to;
                }
            }
            Edit::Flip { at, bit } => {
                let place = place(*at);
                if let Some(byte) = body.get_mut(place) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Edit::Insert { at, bytes } => {
                let place = place(*at);
                body.splice(place..place, bytes.iter().copied());
            }
            Edit::Remove { at, count } => {
                let place = place(*at);
                body.drain(place..(place + usize::from(*count)).min(body.len()));
            }
            Edit::Replace { at, bytes } => {
                let place = place(*at);
                let end = (place + bytes.len()).min(body.len());
                body.splice(place..end, bytes.iter().copied());
            }
            Edit::Cut { at } => {
                let place = place(*at);
                body.truncate(place);
            }
            Edit::All { bytes } => body.clone_from(bytes),
        }
    }
    body.into()
}
