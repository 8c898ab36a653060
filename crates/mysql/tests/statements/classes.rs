//! The classifier over the whole corpus of statements with known classes.

use headless_mysql::statement::{Dialect, Server, classify};

use crate::corpus::{corpus, name};

#[test]
fn every_statement_gets_its_class() {
    let wrong: Vec<_> = corpus()
        .into_iter()
        .filter(|it| name(it.classification().class()) != it.class)
        .map(|it| {
            let classification = it.classification();
            format!(
                "{} is wanted, {} found ({classification}): {}",
                it.class,
                name(classification.class()),
                it.sql
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_corpus_is_large_and_has_every_class() {
    let corpus = corpus();
    assert!(corpus.len() >= 500, "only {}", corpus.len());
    for class in [
        "read",
        "node",
        "session-read",
        "session",
        "transaction",
        "write",
        "multi",
    ] {
        assert!(corpus.iter().any(|it| it.class == class), "none is {class}");
    }
}

/// The most that may change: what was a read of one server is none where that server is not known.
#[test]
fn knowing_less_never_makes_a_read() {
    for it in corpus() {
        let classification = it.classification();
        for less in [
            Dialect::UNKNOWN,
            Dialect::UTF8,
            Dialect::UTF8.with_charset("gbk"),
            Dialect::UTF8.with_sql_mode("ORACLE"),
        ] {
            let found = classify(&it.sql, less);
            assert!(
                found.class() >= classification.class() || !found.is_read(),
                "{} became {} with {less:?}: {}",
                name(classification.class()),
                name(found.class()),
                it.sql
            );
        }
    }
}

#[test]
fn a_known_server_changes_no_classification_of_those_that_hold_for_both() {
    for it in corpus()
        .into_iter()
        .filter(|it| it.server.is_none() && it.class != "write")
    {
        for server in [Server::MySql, Server::MariaDb] {
            let found = classify(&it.sql, Dialect::UTF8.with_server(server));
            assert_eq!(found, it.classification(), "{}", it.sql);
        }
    }
}

#[test]
fn the_reason_is_inside_the_text() {
    for it in corpus() {
        let classification = it.classification();
        assert!(
            it.sql.is_char_boundary(classification.offset()),
            "{classification}: {}",
            it.sql
        );
    }
}

/// Logs must not hold what a statement holds.
#[test]
fn a_classification_does_not_repeat_the_text() {
    for sql in [
        "SELECT secret_function('hunter2')",
        "SELECT 'hunter2\\' FOR UPDATE",
        "INSERT INTO secret_table VALUES ('hunter2')",
        "SET PASSWORD = 'hunter2'",
        "hunter2",
    ] {
        let said = format!("{0} {0:?}", classify(sql, Dialect::UTF8));
        assert!(!said.contains("hunter2") && !said.contains("secret"), "{said}");
    }
}
