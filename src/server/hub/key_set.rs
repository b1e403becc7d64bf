//! A set of keys of connections, in their order.

/// Keys of connections, by ascending key: the order of the slab, so a walk over them reads memory in one direction.
/// 4 bytes a key. The cost of a change is a search, and a move of the keys behind it.
#[derive(Debug, Default)]
pub(super) struct KeySet(Vec<u32>);

impl KeySet {
    /// Adds a key, if it is not there.
    ///
    /// # Panics
    /// When there are more connections than a `u32` counts.
    pub(super) fn insert(&mut self, key: usize) {
        let key = u32::try_from(key).expect("keys of fewer connections than a u32 counts");
        if let Err(place) = self.0.binary_search(&key) {
            self.0.insert(place, key);
        }
    }

    /// Removes a key. Returns whether it was there.
    pub(super) fn remove(&mut self, key: usize) -> bool {
        let is_there = self.contains(key);
        if is_there {
            self.0.remove(self.place(key));
            if self.0.capacity() > 64 && self.0.len() < self.0.capacity() / 4 {
                self.0.shrink_to(2 * self.0.len());
            }
        }
        is_there
    }

    /// Takes out the first key; `None` if there is none.
    pub(super) fn take_first(&mut self) -> Option<usize> {
        let key = *self.0.first()? as usize;
        self.remove(key);
        Some(key)
    }

    pub(super) fn contains(&self, key: usize) -> bool {
        self.0.get(self.place(key)).is_some_and(|&found| found as usize == key)
    }

    /// Returns the keys from `key` on.
    pub(super) fn from(&self, key: usize) -> &[u32] {
        &self.0[self.place(key)..]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|&key| key as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&self, key: usize) -> usize {
        self.0.partition_point(|&other| (other as usize) < key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_and_there_once() {
        let mut keys = KeySet::default();
        for key in [5, 1, 9, 5, 3] {
            keys.insert(key);
        }
        assert_eq!(keys.iter().collect::<Vec<_>>(), [1, 3, 5, 9]);
        assert_eq!((keys.from(2), keys.from(5), keys.from(10)), (&[3, 5, 9][..], &[5, 9][..], &[][..]));
        assert!(keys.remove(5) && !keys.remove(5) && !keys.remove(4));
        assert_eq!(keys.len(), 3);
        assert_eq!([(); 4].map(|()| keys.take_first()), [Some(1), Some(3), Some(9), None]);
    }

    #[test]
    fn a_room_that_empties_frees_memory() {
        let mut keys = KeySet::default();
        (0..1_000).for_each(|key| keys.insert(key));
        (0..1_000).for_each(|key| assert!(keys.remove(key)));
        assert!(keys.is_empty() && keys.0.capacity() <= 64);
    }
}
