//! Reads texts of digits from the front.

/// What is left of a text.
#[derive(Clone, Copy)]
pub(super) struct Digits<'a>(pub(super) &'a [u8]);

impl Digits<'_> {
    /// The next letter, if it is one of these.
    pub(super) fn one_of(&mut self, letters: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        letters.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// A number of exactly so many digits.
    pub(super) fn number(&mut self, width: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(width)?;
        let number = digits.iter().try_fold(0u32, |number, digit| {
            let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
            number.checked_mul(10)?.checked_add(digit)
        })?;
        self.0 = rest;
        Some(number)
    }

    /// The digits that come next.
    pub(super) fn all(&mut self) -> Self {
        let len = self.0.iter().take_while(|letter| letter.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(len).unwrap_or_default();
        self.0 = rest;
        Self(digits)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}
