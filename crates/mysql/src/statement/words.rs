//! The words that mean something to the classifier, found in a few nanoseconds. The functions among
//! them are listed in `functions.rs`; what follows from a word is decided in `body.rs` and
//! `head.rs`.
//!
//! One table with open addressing, built by the compiler. Any other word is an identifier.

use super::functions as names;

/// What is known of a word.
#[derive(Debug)]
pub(super) struct Entry {
    /// In upper case. Empty for [`UNLISTED`].
    pub(super) name: &'static str,
    pub(super) role: Role,
    pub(super) call: Call,
}

/// What a word means by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing.
    None,
    /// Begins a query, or a part of one.
    Query,
    /// Begins a list of values, or is a function.
    Values,
    /// Begins a statement that is classified by what follows.
    Explain,
    Analyze,
    Show,
    Set,
    Use,
    Begin,
    Start,
    Commit,
    Rollback,
    Savepoint,
    Release,
    /// Begins a statement that is no query.
    Verb,
    /// Changes data wherever it stands.
    Change,
    /// Changes data, or is a function.
    ChangeOrFunction,
    Into,
    For,
    Share,
    Lock,
    Value,
    As,
    FoundRows,
    /// A schema that each server has for itself.
    NodeSchema,
    /// Behind a dot: asks the sequence before it.
    SequenceMember,
}

/// What a word means before a parenthesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Perhaps a stored function.
    Unknown,
    Keyword,
    BuiltIn,
    /// Built in if the parenthesis is next to it.
    Tight,
    MySqlOnly,
    MariaDbOnly,
    MariaDbTight,
    Node,
    Session,
    Lock,
    Sequence,
}

/// What there is to say of any other word.
pub(super) static UNLISTED: Entry = Entry {
    name: "",
    role: Role::None,
    call: Call::Unknown,
};

/// What is known of `word`, in any case.
#[inline]
pub(super) fn find(word: &[u8]) -> &'static Entry {
    let mut slot = hash(word);
    while let Some(index) = TABLE[slot] {
        let entry = &ENTRIES[index as usize];
        if entry.name.as_bytes().eq_ignore_ascii_case(word) {
            return entry;
        }
        slot = (slot + 1) % SLOTS;
    }
    &UNLISTED
}

/// Where the search for a word begins. Lower-case letters differ from upper-case ones in one bit,
/// which is left out.
const fn hash(word: &[u8]) -> usize {
    let mut hash = word.len() as u32;
    let mut index = 0;
    while index < word.len() {
        hash = hash.rotate_left(5) ^ (word[index] & !0x20) as u32;
        index += 1;
    }
    (hash.wrapping_mul(0x9e37_79b9) >> (32 - SLOT_BITS)) as usize
}

/// The words with a role; the last column is their meaning before a parenthesis.
const ROLES: &[(&str, Role, Call)] = &[
    ("SELECT", Role::Query, Call::Keyword),
    ("WITH", Role::Query, Call::Unknown),
    ("TABLE", Role::Query, Call::Unknown),
    ("VALUES", Role::Values, Call::Keyword),
    ("VALUE", Role::Value, Call::Unknown),
    ("EXPLAIN", Role::Explain, Call::Keyword),
    ("DESCRIBE", Role::Explain, Call::Keyword),
    ("DESC", Role::Explain, Call::Keyword),
    ("ANALYZE", Role::Analyze, Call::Keyword),
    ("SHOW", Role::Show, Call::Unknown),
    ("SET", Role::Set, Call::Unknown),
    ("USE", Role::Use, Call::Unknown),
    ("BEGIN", Role::Begin, Call::Unknown),
    ("START", Role::Start, Call::Unknown),
    ("COMMIT", Role::Commit, Call::Unknown),
    ("ROLLBACK", Role::Rollback, Call::Unknown),
    ("SAVEPOINT", Role::Savepoint, Call::Unknown),
    ("RELEASE", Role::Release, Call::Unknown),
    ("UPDATE", Role::Change, Call::Unknown),
    ("DELETE", Role::Change, Call::Unknown),
    ("INSERT", Role::ChangeOrFunction, Call::BuiltIn),
    ("REPLACE", Role::ChangeOrFunction, Call::BuiltIn),
    ("INTO", Role::Into, Call::Unknown),
    ("FOR", Role::For, Call::Keyword),
    ("SHARE", Role::Share, Call::Unknown),
    ("LOCK", Role::Lock, Call::Unknown),
    ("AS", Role::As, Call::Keyword),
    ("SQL_CALC_FOUND_ROWS", Role::FoundRows, Call::Keyword),
    ("INFORMATION_SCHEMA", Role::NodeSchema, Call::Unknown),
    ("PERFORMANCE_SCHEMA", Role::NodeSchema, Call::Unknown),
    ("MYSQL", Role::NodeSchema, Call::Unknown),
    ("SYS", Role::NodeSchema, Call::Unknown),
    ("CURRVAL", Role::SequenceMember, Call::Unknown),
    ("ALTER", Role::Verb, Call::Unknown),
    ("BACKUP", Role::Verb, Call::Unknown),
    ("BINLOG", Role::Verb, Call::Unknown),
    ("CALL", Role::Verb, Call::Unknown),
    ("CHANGE", Role::Verb, Call::Unknown),
    ("CHECK", Role::Verb, Call::Unknown),
    ("CHECKSUM", Role::Verb, Call::Unknown),
    ("CREATE", Role::Verb, Call::Unknown),
    ("DEALLOCATE", Role::Verb, Call::Unknown),
    ("DO", Role::Verb, Call::Unknown),
    ("DROP", Role::Verb, Call::Unknown),
    ("EXECUTE", Role::Verb, Call::Unknown),
    ("FLUSH", Role::Verb, Call::Unknown),
    ("GRANT", Role::Verb, Call::Unknown),
    ("HANDLER", Role::Verb, Call::Unknown),
    ("KILL", Role::Verb, Call::Unknown),
    ("LOAD", Role::Verb, Call::Unknown),
    ("OPTIMIZE", Role::Verb, Call::Unknown),
    ("PREPARE", Role::Verb, Call::Unknown),
    ("PURGE", Role::Verb, Call::Unknown),
    ("RENAME", Role::Verb, Call::Unknown),
    ("REPAIR", Role::Verb, Call::Unknown),
    ("RESET", Role::Verb, Call::Unknown),
    ("REVOKE", Role::Verb, Call::Unknown),
    ("STOP", Role::Verb, Call::Unknown),
    ("TRUNCATE", Role::Verb, Call::BuiltIn),
    ("UNLOCK", Role::Verb, Call::Unknown),
    ("XA", Role::Verb, Call::Unknown),
];

/// The functions, and what each list means.
const CALLS: &[(Call, &[&str])] = &[
    (Call::Keyword, names::KEYWORDS),
    (Call::MySqlOnly, names::MYSQL_KEYWORDS),
    (Call::BuiltIn, names::BUILT_IN),
    (Call::Tight, names::TIGHT),
    (Call::MySqlOnly, names::MYSQL),
    (Call::MariaDbOnly, names::MARIADB),
    (Call::MariaDbTight, names::MARIADB_TIGHT),
    (Call::Node, names::NODE),
    (Call::Session, names::SESSION),
    (Call::Lock, names::LOCKS),
    (Call::Sequence, names::SEQUENCES),
];

const COUNT: usize = count();

const SLOT_BITS: u32 = 11;

/// More than twice as many as words, so that searches end early.
const SLOTS: usize = 1 << SLOT_BITS;

static ENTRIES: [Entry; COUNT] = entries();

static TABLE: [Option<u16>; SLOTS] = table(&entries());

const fn count() -> usize {
    let mut count = ROLES.len();
    let mut list = 0;
    while list < CALLS.len() {
        count += CALLS[list].1.len();
        list += 1;
    }
    count
}

const fn entries() -> [Entry; COUNT] {
    let mut entries = [const {
        Entry {
            name: "",
            role: Role::None,
            call: Call::Unknown,
        }
    }; COUNT];
    let mut next = 0;
    while next < ROLES.len() {
        let (name, role, call) = ROLES[next];
        entries[next] = Entry { name, role, call };
        next += 1;
    }
    let mut list = 0;
    while list < CALLS.len() {
        let (call, names) = CALLS[list];
        // `NEXTVAL` is asked for behind a dot, too.
        let role = match call {
            Call::Sequence => Role::SequenceMember,
            _ => Role::None,
        };
        let mut index = 0;
        while index < names.len() {
            let name = names[index];
            entries[next] = Entry { name, role, call };
            next += 1;
            index += 1;
        }
        list += 1;
    }
    entries
}

const fn table(entries: &[Entry; COUNT]) -> [Option<u16>; SLOTS] {
    const { assert!(COUNT * 2 < SLOTS, "SLOT_BITS must grow") };
    let mut table = [None; SLOTS];
    let mut index = 0;
    while index < COUNT {
        let mut slot = hash(entries[index].name.as_bytes());
        while table[slot].is_some() {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = Some(index as u16);
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_word_is_listed_once_in_upper_case_and_found_in_any() {
        let mut seen = HashSet::new();
        for entry in &ENTRIES {
            assert_eq!(entry.name, entry.name.to_ascii_uppercase());
            assert!(seen.insert(entry.name), "{} is listed twice", entry.name);
            assert!(std::ptr::eq(find(entry.name.as_bytes()), entry), "{}", entry.name);
            assert!(
                std::ptr::eq(find(entry.name.to_lowercase().as_bytes()), entry),
                "{}",
                entry.name
            );
        }
    }

    #[test]
    fn other_words_are_not_found() {
        for word in ["", "selec", "selects", "users", "größe", "\u{0}", "x"] {
            assert!(find(word.as_bytes()).name.is_empty(), "{word}");
        }
    }

    #[test]
    fn no_search_is_long() {
        let distance = |entry: &Entry| {
            let from = hash(entry.name.as_bytes());
            let steps = |step: &usize| {
                let index = TABLE[(from + step) % SLOTS].map(usize::from);
                index.is_some_and(|index| ENTRIES[index].name == entry.name)
            };
            (0..SLOTS).find(steps).unwrap()
        };
        let longest = ENTRIES.iter().map(distance).max().unwrap();
        assert!(longest <= 12, "{longest} steps: another hash, or more slots");
    }
}
