//! The classifier against texts that no program sends: arbitrary ones, and statements of the corpus
//! written in another way.

use headless_mysql::statement::{Class, Dialect, Server, classify};
use proptest::prelude::*;

use crate::corpus::{Statement, corpus, name};

/// Every dialect that reads in a way of its own.
fn dialects() -> Vec<Dialect> {
    let mut dialects = vec![Dialect::UNKNOWN, Dialect::UTF8.with_charset("latin1")];
    for mode in [
        "",
        "ANSI_QUOTES",
        "NO_BACKSLASH_ESCAPES",
        "ANSI_QUOTES,NO_BACKSLASH_ESCAPES",
    ] {
        for server in [Server::MySql, Server::MariaDb] {
            dialects.push(Dialect::UTF8.with_server(server).with_sql_mode(mode));
        }
    }
    dialects.push(Dialect::UTF8);
    dialects
}

/// A text cut at its blanks, but not in quotes and comments: any other blank may stand there.
fn cut_at_blanks(sql: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut inside: Option<&str> = None;
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let opens = [
            ("'", "'"),
            ("\"", "\""),
            ("`", "`"),
            ("/*", "*/"),
            ("-- ", "\n"),
            ("#", "\n"),
            ("--\n", "\n"),
        ];
        let length = match inside {
            Some(end) if rest.starts_with(end) => {
                inside = None;
                end.len()
            }
            Some(_) => first.len_utf8(),
            None => match opens.iter().find(|(open, _)| rest.starts_with(open)) {
                Some((open, end)) => {
                    inside = Some(end);
                    open.trim_end_matches('\n').len()
                }
                None => first.len_utf8(),
            },
        };
        let (taken, left) = rest.split_at(length);
        if inside.is_none() && taken.trim().is_empty() && taken != "\n" {
            parts.push(String::new());
        } else {
            parts.last_mut().expect("begins with one").push_str(taken);
        }
        rest = left;
    }
    parts
}

/// What may stand for a blank.
const BLANKS: &[&str] = &[
    " ",
    "  ",
    "\n",
    "\t",
    "\r\n",
    " \u{b}\u{c}",
    "/**/",
    " /* FOR x */ ",
    " /* ' */ ",
    " -- x\n",
    " # \"\n",
    " --\n",
    "/*;*/",
    " -- it's ` \n",
];

/// One way to write a statement of the corpus: which, with what for its blanks, in which case, in
/// how many parentheses.
fn rewritten() -> impl Strategy<Value = (Statement, String)> {
    let statement = prop::sample::select(corpus());
    let blanks = prop::collection::vec(prop::sample::select(BLANKS), 64);
    let case = 0..4_u8;
    let around = prop::sample::select(vec![
        ("", ""),
        (" ", " "),
        ("(", ")"),
        ("((", "))"),
        ("/* a */ ", " -- b"),
        ("\n", ";"),
        ("", " ; # c"),
    ]);
    (statement, blanks, case, around).prop_map(|(statement, blanks, case, (before, after))| {
        let mut sql = before.to_owned();
        for (index, part) in cut_at_blanks(&statement.sql).iter().enumerate() {
            if index > 0 {
                sql.push_str(blanks[index % blanks.len()]);
            }
            // Quotes keep what is in them, and the case of a character set's name means nothing.
            match case {
                _ if part.contains(['\'', '"', '`']) => sql.push_str(part),
                0 => sql.push_str(&part.to_lowercase()),
                1 => sql.push_str(&part.to_uppercase()),
                2 => sql.extend(part.chars().enumerate().map(|(at, letter)| match at % 2 {
                    0 => letter.to_ascii_lowercase(),
                    _ => letter.to_ascii_uppercase(),
                })),
                _ => sql.push_str(part),
            }
        }
        sql.push_str(after);
        (statement, sql)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_makes_it_panic(sql in any::<String>()) {
        for dialect in dialects() {
            let classification = classify(&sql, dialect);
            prop_assert!(classification.offset() <= sql.len());
        }
    }

    #[test]
    fn no_soup_of_quotes_and_signs_makes_it_panic(sql in "[ 'SELECT\"`@:;/*!+M#\\-.,()0x1eé\n$?_]{0,60}") {
        for dialect in dialects() {
            let classification = classify(&sql, dialect);
            prop_assert!(classification.offset() <= sql.len());
        }
    }

    /// C17: another way to write a statement asks for the same care, or more; never for less.
    #[test]
    fn c17_no_way_of_writing_makes_a_statement_more_harmless((statement, sql) in rewritten()) {
        let (before, after) = (statement.classification(), classify(&sql, statement.dialect()));
        prop_assert!(
            after.class() >= before.class(),
            "{} became {} ({after}):\n{}\n{sql}", name(before.class()), name(after.class()), statement.sql
        );
    }

    /// What is a read with less known is a read in each of the modes that it may be.
    #[test]
    fn a_read_in_doubt_is_a_read_in_every_mode((_, sql) in rewritten()) {
        if classify(&sql, Dialect::UTF8).is_read() {
            for dialect in dialects().into_iter().filter(|it| it.server().is_some()) {
                let classification = classify(&sql, dialect);
                prop_assert!(classification.is_read(), "{classification} with {dialect:?}: {sql}");
            }
        }
    }

    /// A write stays one wherever it stands in a text, as long as no quote or comment hides it.
    #[test]
    fn a_lock_is_found_behind_every_read(
        read in prop::sample::select(corpus().into_iter().filter(|it| it.class == "read").collect::<Vec<_>>()),
        lock in prop::sample::select(vec!["FOR UPDATE", "FOR SHARE", "LOCK IN SHARE MODE", "INTO OUTFILE 'x'", "+ touch(1)", "; DELETE FROM users"]),
    ) {
        // A line comment at the end would hide it, as it would on the server.
        let sql = format!("{}\n{lock}", read.sql);
        let class = classify(&sql, read.dialect()).class();
        prop_assert!(matches!(class, Class::Write | Class::Multi), "{class:?}: {sql}");
    }
}
