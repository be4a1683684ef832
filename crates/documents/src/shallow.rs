use bucketdb_log::codec::Malformed;

/// How deep a value may be to be called shallow: well below what every reader takes.
const SHALLOW: usize = 16;

/// Whether `bytes` are one whole value in MessagePack that is not nested deep. Several times as fast as reading it. What is
/// rare, extensions for one, is left to those who read it: `false` says nothing.
pub(crate) fn is_shallow_value(bytes: &[u8]) -> bool {
    let mut rest = Rest(bytes);
    // How many values are missing still on each level.
    let mut missing = [0u64; SHALLOW];
    let mut level = 0;
    loop {
        let Ok(inside) = rest.value() else { return false };
        if inside > 0 {
            level += 1;
            match missing.get_mut(level) {
                Some(missing) => *missing = inside,
                None => return false,
            }
            continue;
        }
        loop {
            let Some(missing) = missing.get_mut(level).filter(|_| level > 0) else { return rest.0.is_empty() };
            *missing -= 1;
            if *missing > 0 {
                break;
            }
            level -= 1;
        }
    }
}

/// What was not looked at yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// Passes over a value, or over the beginning of a list or map; tells how many values are inside.
    fn value(&mut self) -> Result<u64, Malformed> {
        let Some((marker, rest)) = self.0.split_first() else { return Err(Malformed("it ends too early")) };
        self.0 = rest;
        match marker {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => Ok(0),
            0x80..=0x8f => Ok(2 * u64::from(marker & 0x0f)),
            0x90..=0x9f => Ok(u64::from(marker & 0x0f)),
            0xa0..=0xbf => self.skip(u64::from(marker & 0x1f)),
            0xcc | 0xd0 => self.skip(1),
            0xcd | 0xd1 => self.skip(2),
            0xca | 0xce | 0xd2 => self.skip(4),
            0xcb | 0xcf | 0xd3 => self.skip(8),
            0xc4 | 0xd9 => self.counted::<1>(),
            0xc5 | 0xda => self.counted::<2>(),
            0xc6 | 0xdb => self.counted::<4>(),
            0xdc => self.number::<2>(),
            0xdd => self.number::<4>(),
            0xde => Ok(2 * self.number::<2>()?),
            0xdf => Ok(2 * self.number::<4>()?),
            0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => Err(Malformed("it is rare")),
        }
    }

    fn skip(&mut self, length: u64) -> Result<u64, Malformed> {
        let behind = usize::try_from(length).ok().and_then(|length| self.0.get(length..));
        self.0 = behind.ok_or(Malformed("it ends too early"))?;
        Ok(0)
    }

    fn counted<const BYTES: usize>(&mut self) -> Result<u64, Malformed> {
        let length = self.number::<BYTES>()?;
        self.skip(length)
    }

    fn number<const BYTES: usize>(&mut self) -> Result<u64, Malformed> {
        let (number, rest) = self.0.split_first_chunk::<BYTES>().ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(number.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde::de::IgnoredAny;
    use serde_json::{Value, json};

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (0usize..70_000).prop_map(|length| "x".repeat(length).into()),
        ];
        leaf.prop_recursive(12, 40, 20, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{0,40}", inner, 0..20)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn reads(bytes: &[u8]) -> bool {
        let mut rest = bytes;
        let read = IgnoredAny::deserialize(&mut rmp_serde::Deserializer::new(&mut rest));
        read.is_ok() && rest.is_empty()
    }

    proptest! {
        #[test]
        fn whole_values_pass_and_parts_of_them_do_not(value in value(), cut in any::<prop::sample::Index>()) {
            let bytes = rmp_serde::to_vec_named(&value).unwrap();
            prop_assert!(is_shallow_value(&bytes));
            prop_assert!(!is_shallow_value(&bytes[..cut.index(bytes.len())]));
            prop_assert!(!is_shallow_value(&[&bytes[..], &[0xc0]].concat()));
        }

        #[test]
        fn what_passes_can_be_read(bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), prop::sample::select(vec![0x91, 0x81, 0x92, 0xc0, 0xdc, 0xd9, 0, 1])], 0..40,
        )) {
            // Text that is none cannot come out of a serialiser.
            let has_text = bytes.iter().any(|byte| matches!(byte, 0xa0..=0xbf | 0xd9..=0xdb));
            prop_assert!(has_text || !is_shallow_value(&bytes) || reads(&bytes), "{bytes:x?}");
        }
    }

    #[test]
    fn depth_is_told_without_much_work() {
        let nested = |depth: usize| rmp_serde::to_vec(&(0..depth).fold(json!(1), |value, _| json!([value]))).unwrap();
        assert!(is_shallow_value(&nested(SHALLOW - 1)));
        assert!(!is_shallow_value(&nested(SHALLOW)));
        assert!(!is_shallow_value(&[0x91; 100_000]));
    }
}
