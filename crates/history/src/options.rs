/// Which orders between transactions must hold beyond what they read and wrote.
///
/// With neither, serializability is checked; with the order of each process, strong session serializability; with real
/// time, strict serializability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What ended before something else began comes before it.
    pub real_time: bool,
    /// The transactions of a process come one after the other.
    pub process_order: bool,
}

impl Default for Options {
    /// Strict serializability.
    fn default() -> Self {
        Self { real_time: true, process_order: true }
    }
}
