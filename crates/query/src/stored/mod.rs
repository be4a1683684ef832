//! How documents hold numbers that JSON has no type for: those of single precision, and those of 128 bits.

mod serializer;
mod single;
mod wide;

pub use serializer::AsStored;
pub use single::double_of;
pub(crate) use wide::Wide;
