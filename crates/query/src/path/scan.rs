//! The grammar of paths, `const` so that a column's path is checked when it is compiled, and the only one: reading a
//! path at run time takes the same steps.

use crate::text::quoted::{Mistake, quoted_len};

/// A step of a path in its text: what it is and how many bytes it takes.
pub(crate) struct Step {
    pub(crate) kind: StepKind,
    pub(crate) len: usize,
}

pub(crate) enum StepKind {
    /// A field name in plain letters, behind a dot unless it is the first step.
    Name,
    /// A field name in double quotes, behind a dot unless it is the first step.
    Quoted,
    Index(u32),
    AnyElement,
}

const EXPECTED_NAME: &str = "expected the name of a field";
const NAME_HELP: &str = r#"a name with other characters than letters, digits, "_", "$" and "-" needs double quotes"#;

/// The first step of a path: always a field, because a document is an object.
pub(crate) const fn first_step(bytes: &[u8]) -> Result<Step, Mistake> {
    if let [b'"', ..] = bytes {
        return match quoted_len(bytes) {
            Ok(len) => Ok(Step { kind: StepKind::Quoted, len }),
            Err(mistake) => Err(mistake),
        };
    }
    match plain_name_len(bytes) {
        0 => Err(Mistake { left: bytes.len(), problem: EXPECTED_NAME, help: NAME_HELP }),
        len => Ok(Step { kind: StepKind::Name, len }),
    }
}

/// The step behind another, or `None` where the path ends.
pub(crate) const fn next_step(bytes: &[u8]) -> Result<Option<Step>, Mistake> {
    match bytes {
        [b'.', name @ ..] => match first_step(name) {
            Ok(Step { kind, len }) => Ok(Some(Step { kind, len: len + 1 })),
            Err(mistake) => Err(mistake),
        },
        [b'[', b'*', b']', ..] => Ok(Some(Step { kind: StepKind::AnyElement, len: 3 })),
        [b'[', digits @ ..] => match index(digits) {
            Ok((index, len)) => Ok(Some(Step { kind: StepKind::Index(index), len: len + 2 })),
            Err(mistake) => Err(mistake),
        },
        _ => Ok(None),
    }
}

/// The number before a `]` and how many digits it has.
const fn index(bytes: &[u8]) -> Result<(u32, usize), Mistake> {
    const HELP: &str = "an index is a whole number from 0 to 4294967295, or * for any element";
    let mut rest = bytes;
    let mut number: u32 = 0;
    while let [digit @ b'0'..=b'9', tail @ ..] = rest {
        number = match number.checked_mul(10) {
            Some(tens) if tens <= u32::MAX - (*digit - b'0') as u32 => tens + (*digit - b'0') as u32,
            _ => return Err(Mistake { left: rest.len(), problem: "the index is too large", help: HELP }),
        };
        rest = tail;
    }
    let len = bytes.len() - rest.len();
    match rest {
        [b']', ..] if len > 0 => Ok((number, len)),
        _ if len > 0 => Err(Mistake { left: rest.len(), problem: "expected ] behind the index", help: "" }),
        _ => Err(Mistake { left: rest.len(), problem: "expected an index", help: HELP }),
    }
}

/// How many bytes of a name need no quotes.
pub(crate) const fn plain_name_len(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    loop {
        let first = rest.len() == bytes.len();
        rest = match rest {
            [b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$', tail @ ..] => tail,
            [b'0'..=b'9' | b'-', tail @ ..] if !first => tail,
            // Signs and blanks beyond ASCII look like ASCII ones and come in by copying: no-break spaces, curly
            // quotes, long dashes. As part of a name they would make a field that no document has.
            [0xc2, ..] | [0xe2, 0x80 | 0x81, ..] | [0xe1, 0x9a, 0x80, ..] => break,
            [0xe3, 0x80, 0x80..=0x83, ..] | [0xef, 0xbb, 0xbf, ..] => break,
            [0xc3..=0xdf, _, tail @ ..] | [0xe0..=0xef, _, _, tail @ ..] | [0xf0..=0xf7, _, _, _, tail @ ..] => tail,
            _ => break,
        };
    }
    bytes.len() - rest.len()
}

/// Whether a whole text is a path.
pub(crate) const fn is_path(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Ok(Step { len, .. }) = first_step(bytes) else { return false };
    let mut rest = bytes.split_at(len).1;
    loop {
        match next_step(rest) {
            Ok(Some(Step { len, .. })) => rest = rest.split_at(len).1,
            Ok(None) => return rest.is_empty(),
            Err(_) => return false,
        }
    }
}
