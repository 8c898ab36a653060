//! Arbitrary positions and tokens, for property tests. Small numbers, so that they overlap.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Position, Token};

/// A MariaDB position of up to three domains.
pub(crate) fn mariadb() -> impl Strategy<Value = Position> {
    let gtid = (0_u32..3, 1_u32..3, 1_u64..20);
    vec(gtid, 0..4).prop_map(|gtids| {
        let texts: Vec<String> = gtids.iter().map(|(d, s, n)| format!("{d}-{s}-{n}")).collect();
        parsed(&texts.join(","))
    })
}

/// A MySQL set of up to two sources, with and without tags.
pub(crate) fn mysql() -> impl Strategy<Value = Position> {
    let range = (1_u64..30, 0_u64..6).prop_map(|(first, more)| format!("{first}-{}", first + more));
    let source = (
        0_u8..2,
        prop_oneof![Just(""), Just(":tag"), Just(":other")],
        vec(range, 1..4),
    );
    vec(source, 0..4).prop_map(|sources| {
        let texts: Vec<String> = sources
            .iter()
            .map(|(source, tag, ranges)| {
                format!("00000000-0000-0000-0000-00000000000{source}{tag}:{}", ranges.join(":"))
            })
            .collect();
        parsed(&texts.join(","))
    })
}

/// A token of either kind, or an empty one.
pub(crate) fn token() -> impl Strategy<Value = Token> {
    prop_oneof![mariadb(), mysql()].prop_map(Token::from)
}

fn parsed(text: &str) -> Position {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}
