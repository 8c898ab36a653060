//! [`StatementCache`]: the classifications of texts that come often. How one is found is not known
//! here.
//!
//! A program has some hundred texts and sends them all day. The cache is a fixed number of small
//! sets; a text belongs to one set by its hash, and is found there by its whole length and every
//! byte. So the hash needs to be fast only: a caller that forces collisions makes texts drive each
//! other out of one set, and gets no wrong answer and no long search.

use std::fmt;
use std::hash::Hasher;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{RwLock, TryLockError};

use super::body::classify;
use super::classification::Classification;
use super::dialect::Dialect;

/// Remembers classifications by text, for connections of one [`Dialect`].
///
/// Bounded, shared by reference, and without waits: a caller that finds a part of it locked
/// classifies the statement anew. It takes at most its capacity times 4 KiB, the longest text that
/// it keeps; what is longer is classified each time.
///
/// ```
/// use headless_mysql::statement::{Class, Dialect, StatementCache};
///
/// let cache = StatementCache::new(Dialect::UTF8);
/// for _ in 0..2 {
///     assert_eq!(cache.classify("SELECT 1").class(), Class::Read);
/// }
/// ```
pub struct StatementCache {
    dialect: Dialect,
    /// A power of two of them.
    sets: Box<[RwLock<Set>]>,
}

/// The texts that share a place. Which one makes room for a new one is decided by second chance:
/// the hand moves on over those that were asked for since it was there last.
#[derive(Default)]
struct Set {
    entries: [Option<Entry>; WAYS],
    hand: usize,
}

struct Entry {
    hash: u64,
    text: Box<str>,
    classification: Classification,
    /// Asked for since the hand was here.
    ///
    /// ORDERING: Relaxed. It is a hint about what to keep; nothing is published through it.
    used: AtomicBool,
}

impl StatementCache {
    /// The number of texts that are kept by default: more than most programs have.
    pub const DEFAULT_CAPACITY: usize = 1024;

    /// The length of the longest text that is kept, in bytes. A longer one is mostly a bulk insert,
    /// and does not come twice.
    pub const LONGEST_TEXT: usize = 4096;

    /// Returns an empty cache for [`DEFAULT_CAPACITY`](Self::DEFAULT_CAPACITY) texts.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self::with_capacity(dialect, Self::DEFAULT_CAPACITY)
    }

    /// Returns an empty cache for at least `capacity` texts: rounded up to a power of two, and not
    /// below 4.
    #[must_use]
    pub fn with_capacity(dialect: Dialect, capacity: usize) -> Self {
        let sets = capacity.div_ceil(WAYS).next_power_of_two();
        Self {
            dialect,
            sets: (0..sets).map(|_| RwLock::default()).collect(),
        }
    }

    /// Returns the dialect that every text is read in.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Returns the classification of [`classify`], remembered or new.
    #[must_use]
    pub fn classify(&self, sql: &str) -> Classification {
        if sql.len() > Self::LONGEST_TEXT {
            return classify(sql, self.dialect);
        }
        let hash = hash(sql.as_bytes());
        // The upper bits are the well mixed ones. The number of sets is a power of two, so no set
        // is left out.
        let set = &self.sets[(hash >> 32) as usize & (self.sets.len() - 1)];
        if let Some(classification) = unlocked(set.try_read()).and_then(|set| set.find(hash, sql)) {
            return classification;
        }
        let classification = classify(sql, self.dialect);
        if let Some(mut set) = unlocked(set.try_write()) {
            set.keep(hash, sql, classification);
        }
        classification
    }
}

impl fmt::Debug for StatementCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the texts, which hold personal data.
        f.debug_struct("StatementCache")
            .field("dialect", &self.dialect)
            .field("capacity", &(self.sets.len() * WAYS))
            .finish_non_exhaustive()
    }
}

impl Set {
    fn find(&self, hash: u64, text: &str) -> Option<Classification> {
        let entry = self.entries.iter().flatten().find(|entry| entry.is(hash, text))?;
        // Reading first: writing what is there already would take the cache line from all other
        // cores.
        if !entry.used.load(Relaxed) {
            entry.used.store(true, Relaxed);
        }
        Some(entry.classification)
    }

    fn keep(&mut self, hash: u64, text: &str, classification: Classification) {
        // Two threads may have classified it at the same time.
        if self.find(hash, text).is_some() {
            return;
        }
        // Ends at the latest where it began, because it takes back what spared each.
        while let Some(entry) = &mut self.entries[self.hand]
            && std::mem::take(entry.used.get_mut())
        {
            self.hand = (self.hand + 1) % WAYS;
        }
        self.entries[self.hand] = Some(Entry {
            hash,
            text: text.into(),
            classification,
            used: AtomicBool::new(false),
        });
        self.hand = (self.hand + 1) % WAYS;
    }
}

impl Entry {
    fn is(&self, hash: u64, text: &str) -> bool {
        self.hash == hash && *self.text == *text
    }
}

/// The lock, unless another thread has it. A panic with it leaves nothing half done: an entry is
/// set in one piece.
fn unlocked<G>(result: Result<G, TryLockError<G>>) -> Option<G> {
    match result {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Eight bytes at a time; the last ones are read as if zeros followed, which the length tells
/// apart.
fn hash(text: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(ODD).rotate_left(29);
    let mut hash = text.len() as u64;
    let (words, tail) = text.as_chunks::<8>();
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    hash = mix(hash, u64::from_le_bytes(last));
    hash.wrapping_mul(ODD)
}

/// The same for a map by text. The longer the map, the more a collision costs: for maps of a
/// bounded length.
#[derive(Default)]
pub(crate) struct TextHasher(u64);

impl Hasher for TextHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= hash(bytes);
    }

    /// A text ends with one, which is the same for all.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// 2^64 divided by the golden ratio: odd, with its bits well spread (Knuth, The Art of Computer
/// Programming, 6.4).
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Texts in one set.
const WAYS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Class;

    fn kept(cache: &StatementCache) -> usize {
        let count = |set: &RwLock<Set>| set.read().unwrap().entries.iter().flatten().count();
        cache.sets.iter().map(count).sum()
    }

    fn holds(cache: &StatementCache, text: &str) -> bool {
        let hash = hash(text.as_bytes());
        cache
            .sets
            .iter()
            .any(|set| set.read().unwrap().find(hash, text).is_some())
    }

    #[test]
    fn a_text_is_kept_once_and_answered_alike() {
        let cache = StatementCache::new(Dialect::UTF8);
        for text in [
            "SELECT 1",
            "SELECT a FROM t FOR UPDATE",
            "SET NAMES utf8mb4",
            "",
            "SELECT 1 ",
        ] {
            let first = cache.classify(text);
            assert_eq!(first, classify(text, Dialect::UTF8));
            assert!(holds(&cache, text), "{text:?}");
            assert_eq!(cache.classify(text), first);
        }
        assert_eq!(kept(&cache), 5);
    }

    #[test]
    fn the_answer_is_that_of_the_caches_own_dialect() {
        let cache = StatementCache::new(Dialect::UNKNOWN);
        assert_eq!(cache.classify("SELECT 1").class(), Class::Write);
        assert_eq!(cache.classify("SELECT 1").class(), Class::Write);
    }

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let cache = StatementCache::with_capacity(Dialect::UTF8, 16);
        for number in 0..1000 {
            let _ = cache.classify(&format!("SELECT {number}"));
        }
        assert_eq!(kept(&cache), 16, "and it is full");
    }

    #[test]
    fn a_capacity_of_nothing_still_works() {
        let cache = StatementCache::with_capacity(Dialect::UTF8, 0);
        for number in 0..100 {
            assert_eq!(cache.classify(&format!("SELECT {number}")).class(), Class::Read);
        }
        assert_eq!(kept(&cache), WAYS);
    }

    #[test]
    fn long_texts_are_classified_but_not_kept() {
        let cache = StatementCache::new(Dialect::UTF8);
        let longest = format!("SELECT '{}'", "x".repeat(StatementCache::LONGEST_TEXT - 9));
        assert_eq!(cache.classify(&longest).class(), Class::Read);
        assert_eq!(kept(&cache), 1);
        let longer = longest + " ";
        assert_eq!(cache.classify(&longer).class(), Class::Read);
        assert_eq!(kept(&cache), 1);
    }

    #[test]
    fn equal_hashes_of_two_texts_do_not_mix_their_answers() {
        let read = classify("SELECT 1", Dialect::UTF8);
        let write = classify("DELETE FROM t", Dialect::UTF8);
        let mut set = Set::default();
        set.keep(7, "a", read);
        set.keep(7, "b", write);
        assert_eq!(set.find(7, "a"), Some(read));
        assert_eq!(set.find(7, "b"), Some(write));
        assert_eq!(set.find(7, "c"), None);
    }

    #[test]
    fn what_is_asked_for_stays_while_others_come_and_go() {
        let classification = classify("SELECT 1", Dialect::UTF8);
        let mut set = Set::default();
        set.keep(0, "often", classification);
        for number in 1..100 {
            assert!(set.find(0, "often").is_some(), "gone after {number}");
            set.keep(number, "once", classification);
        }
    }

    #[test]
    fn a_panic_in_another_thread_does_not_spoil_it() {
        let cache = StatementCache::with_capacity(Dialect::UTF8, 1);
        let panicked = std::thread::scope(|scope| {
            let poison = || {
                let _guard = cache.sets[0].write().unwrap();
                panic!("on purpose");
            };
            scope.spawn(poison).join()
        });
        assert!(panicked.is_err());
        assert!(cache.sets[0].is_poisoned());
        let text = "SELECT 1";
        assert_eq!(cache.classify(text), classify(text, Dialect::UTF8));
        let set = unlocked(cache.sets[0].try_read()).unwrap();
        assert!(set.find(hash(text.as_bytes()), text).is_some());
    }

    #[test]
    fn no_thread_waits_for_a_lock() {
        let cache = StatementCache::with_capacity(Dialect::UTF8, 1);
        let _writing = cache.sets[0].write().unwrap();
        assert_eq!(cache.classify("SELECT 1").class(), Class::Read);
    }

    #[test]
    fn many_threads_get_the_answers_of_one() {
        let cache = StatementCache::with_capacity(Dialect::UTF8, 8);
        let texts: Vec<_> = (0..64)
            .map(|number| match number % 2 {
                0 => format!("SELECT {number}"),
                _ => format!("DELETE FROM t WHERE id = {number}"),
            })
            .collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for text in texts.iter().cycle().take(10_000) {
                        assert_eq!(cache.classify(text), classify(text, Dialect::UTF8), "{text}");
                    }
                });
            }
        });
    }

    #[test]
    fn texts_that_differ_a_little_are_spread_over_the_sets() {
        let cache = StatementCache::with_capacity(Dialect::UTF8, 4096);
        for number in 0..1024 {
            let _ = cache.classify(&format!("SELECT * FROM table_{number} WHERE id = ?"));
        }
        assert!(
            kept(&cache) > 1000,
            "{} of 1024 in a cache four times as large",
            kept(&cache)
        );
    }
}
