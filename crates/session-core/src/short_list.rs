//! A list whose first item needs no memory of its own.

use std::{iter::Chain, option, slice, vec};

/// A list that seldom has more than one item. Only further items are allocated.
#[derive(Clone, Debug)]
pub(crate) struct ShortList<T> {
    first: Option<T>,
    /// None if there is no first one.
    others: Vec<T>,
}

impl<T> ShortList<T> {
    pub(crate) fn push(&mut self, item: T) {
        if self.first.is_none() {
            self.first = Some(item);
        } else {
            self.others.push(item);
        }
    }

    pub(crate) fn push_first(&mut self, item: T) {
        if let Some(second) = self.first.replace(item) {
            self.others.insert(0, second);
        }
    }

    pub(crate) fn take_first(&mut self) -> Option<T> {
        let first = self.first.take();
        self.move_up();
        first
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.first = self.first.take().filter(&keep);
        self.others.retain(keep);
        self.move_up();
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn iter(&self) -> Chain<option::Iter<'_, T>, slice::Iter<'_, T>> {
        self.first.iter().chain(&self.others)
    }

    pub(crate) fn iter_mut(&mut self) -> Chain<option::IterMut<'_, T>, slice::IterMut<'_, T>> {
        self.first.iter_mut().chain(&mut self.others)
    }

    /// The second item becomes the first one, if that is missing.
    fn move_up(&mut self) {
        if self.first.is_none() && !self.others.is_empty() {
            self.first = Some(self.others.remove(0));
        }
    }
}

impl<T> Default for ShortList<T> {
    fn default() -> Self {
        Self {
            first: None,
            others: Vec::new(),
        }
    }
}

impl<T> From<T> for ShortList<T> {
    fn from(only: T) -> Self {
        Self {
            first: Some(only),
            others: Vec::new(),
        }
    }
}

impl<T> IntoIterator for ShortList<T> {
    type Item = T;
    type IntoIter = Chain<option::IntoIter<T>, vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.others)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(u8),
        PushFirst(u8),
        TakeFirst,
        Retain(u8),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => any::<u8>().prop_map(Step::Push),
            2 => any::<u8>().prop_map(Step::PushFirst),
            2 => Just(Step::TakeFirst),
            2 => any::<u8>().prop_map(Step::Retain),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        #[test]
        fn it_holds_what_a_vec_holds(steps in prop::collection::vec(step(), 0..30)) {
            let (mut list, mut expected) = (ShortList::default(), Vec::new());
            for step in steps {
                match step {
                    Step::Push(item) => {
                        list.push(item);
                        expected.push(item);
                    }
                    Step::PushFirst(item) => {
                        list.push_first(item);
                        expected.insert(0, item);
                    }
                    Step::TakeFirst => {
                        let first = (!expected.is_empty()).then(|| expected.remove(0));
                        prop_assert_eq!(list.take_first(), first);
                    }
                    Step::Retain(limit) => {
                        list.retain(|item| *item < limit);
                        expected.retain(|item| *item < limit);
                    }
                    Step::Clear => {
                        list.clear();
                        expected.clear();
                    }
                }
                prop_assert_eq!(list.len(), expected.len());
                prop_assert_eq!(list.is_empty(), expected.is_empty());
                prop_assert_eq!(list.iter().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
                prop_assert_eq!(list.iter_mut().count(), expected.len());
                prop_assert_eq!(list.clone().into_iter().collect::<Vec<_>>(), expected.clone());
            }
        }
    }
}
