//! What a stage's response cache remembers, and how it is told what is gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Purged tags that are remembered; one more flushes the cache, which is as good, if not as cheap. A gateway takes as
/// many.
const PURGED_TAGS_MAX: usize = 1_000;

/// A stage's cache, as far as it isn't the deployment's or a method's. Generations only grow, over the stage's deletion
/// too, since they begin with the time: what a gateway keeps from before a flush is told by them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StageCache {
    /// Grows with each flush and purge.
    pub generation: u64,
    /// What was asked for under an older generation is gone.
    pub flushed_before: u64,
    /// By tag: what was asked for under an older generation is gone, if it has it.
    pub purges: BTreeMap<String, u64>,
}

impl StageCache {
    /// Of a stage that is made now.
    #[must_use]
    pub fn new(now_s: i64) -> Self {
        let generation = u64::try_from(now_s).unwrap_or_default();
        Self { generation, flushed_before: generation, purges: BTreeMap::new() }
    }

    pub fn flush(&mut self) {
        self.generation += 1;
        self.flushed_before = self.generation;
        self.purges.clear();
    }

    pub fn purge(&mut self, tags: impl IntoIterator<Item = String>) {
        self.generation += 1;
        self.purges.extend(tags.into_iter().map(|tag| (tag, self.generation)));
        if self.purges.len() > PURGED_TAGS_MAX {
            self.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purge_is_remembered_until_a_flush() {
        let mut cache = StageCache::new(100);
        cache.purge(["a".to_owned(), "b".to_owned()]);
        cache.purge(["b".to_owned()]);
        assert_eq!((cache.generation, cache.flushed_before), (102, 100));
        assert_eq!((cache.purges["a"], cache.purges["b"]), (101, 102));
        cache.flush();
        assert_eq!((cache.generation, cache.flushed_before, cache.purges.len()), (103, 103, 0));
    }

    #[test]
    fn more_tags_than_are_remembered_flush() {
        let mut cache = StageCache::default();
        cache.purge((0..PURGED_TAGS_MAX).map(|tag| tag.to_string()));
        assert_eq!((cache.purges.len(), cache.flushed_before), (PURGED_TAGS_MAX, 0));
        cache.purge(["more".to_owned()]);
        assert!(cache.purges.is_empty() && cache.flushed_before == cache.generation);
    }
}
