use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

/// How many bytes an identity holds without memory of its own: a whole number, or a short text.
const SHORT_BYTES: usize = 22;

/// Bytes that tell the values of a group from those of others, to be found among many: short ones lie where they are
/// compared.
#[derive(Clone, Debug)]
pub(super) enum Identity {
    Short(u8, [u8; SHORT_BYTES]),
    Long(Box<[u8]>),
}

impl Identity {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(length, bytes) => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Identity {
    fn from(bytes: &[u8]) -> Self {
        let mut short = [0; SHORT_BYTES];
        match short.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Self::Short(bytes.len() as u8, short)
            }
            None => Self::Long(bytes.into()),
        }
    }
}

impl Borrow<[u8]> for Identity {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Identity {}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_map_finds_the_same_as_by_whole_bytes(
            all in prop::collection::vec(prop::collection::vec(0..3_u8, 0..40), 0..60),
            asked in prop::collection::vec(0..3_u8, 0..40),
        ) {
            let by_identity: HashMap<Identity, usize> = all.iter().map(|bytes| bytes.as_slice().into()).zip(0..).collect();
            let by_bytes: HashMap<Vec<u8>, usize> = all.iter().cloned().zip(0..).collect();
            prop_assert_eq!(by_identity.len(), by_bytes.len());
            for bytes in all.iter().chain([&asked]) {
                prop_assert_eq!(by_identity.get(bytes.as_slice()), by_bytes.get(bytes));
            }
        }
    }
}
