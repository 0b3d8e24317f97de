//! What an agent repeats, and what is new in it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// The last state that was told of each thing: a state that is told once more is a sign of life, and no progress.
#[derive(Debug, Default)]
pub(crate) struct News(HashMap<String, u64>);

impl News {
    /// Returns whether this state of the thing is not the one that was told last.
    pub(crate) fn is_new(&mut self, of: &str, state: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        let state = hasher.finish();
        match self.0.get_mut(of) {
            Some(last) => std::mem::replace(last, state) != state,
            None => self.0.insert(of.to_owned(), state).is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_changed_is_new() {
        let mut news = News::default();
        let told = [("a", "1"), ("a", "1"), ("b", "1"), ("a", "2"), ("a", "1"), ("b", "1")];
        let new = told.map(|(of, state)| news.is_new(of, state));
        assert_eq!(new, [true, false, true, true, true, false]);
    }
}
