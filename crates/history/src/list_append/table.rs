/// A value for each node of a graph. A node that the graph does not have has the default, so that no access can fail.
#[derive(Clone, Debug)]
pub(super) struct Table<T>(Vec<T>);

impl<T: Copy + Default> Table<T> {
    pub(super) fn new(len: usize) -> Self {
        Self(vec![T::default(); len])
    }

    pub(super) fn get(&self, at: usize) -> T {
        self.0.get(at).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, at: usize, value: T) {
        if let Some(place) = self.0.get_mut(at) {
            *place = value;
        }
    }
}
