use std::ops::Range;

/// It begins anew after so many bytes, each time with the number of the repetition.
const BLOCK_BYTES: u64 = 1 << 20;

/// A stretch of the content of a blob of any length, which differs everywhere.
#[must_use]
pub fn cargo_at(range: Range<u64>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(range.end.saturating_sub(range.start) as usize);
    let block = block();
    let mut at = range.start;
    while at < range.end {
        let (number, within) = (at / BLOCK_BYTES, at % BLOCK_BYTES);
        let end = range.end.min((number + 1) * BLOCK_BYTES) - number * BLOCK_BYTES;
        let head = number.to_le_bytes();
        let (in_head, in_block) =
            (within.min(8) as usize..end.min(8) as usize, within.max(8) as usize..end.max(8) as usize);
        bytes.extend_from_slice(head.get(in_head).unwrap_or_default());
        bytes.extend_from_slice(block.get(in_block).unwrap_or_default());
        at = number * BLOCK_BYTES + end;
    }
    bytes
}

fn block() -> &'static [u8] {
    static BLOCK: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BLOCK.get_or_init(|| {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            (state >> 56) as u8
        };
        (0..BLOCK_BYTES).map(|_| next()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_those_of_the_whole() {
        let whole = cargo_at(0..3 * BLOCK_BYTES + 100);
        assert_eq!(whole.len() as u64, 3 * BLOCK_BYTES + 100);
        assert_ne!(whole[..8], whole[BLOCK_BYTES as usize..BLOCK_BYTES as usize + 8]);
        for at in [0, 1, 7, 8, 9, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 4, 2 * BLOCK_BYTES + 8] {
            for length in [0, 1, 3, 8, 50, BLOCK_BYTES] {
                assert_eq!(cargo_at(at..at + length), whole[at as usize..(at + length) as usize], "{at} {length}");
            }
        }
    }
}
