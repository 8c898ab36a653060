//! The classifier against another parser of SQL: `sqlparser` builds a tree, which the classifier
//! does not.
//!
//! Wherever both understand a statement, they must agree on what matters: what the classifier calls
//! a read is a query without locks and without `INTO`, through the whole tree. Where `sqlparser` is
//! known to be wrong (it reads `WITH ... DELETE` as a query, and nothing at all in MariaDB's
//! executable comments), the classifier's answer is in the corpus.

use headless_mysql::statement::{Dialect, classify};
use proptest::prelude::*;
use sqlparser::ast::Statement as Tree;
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::Parser;

use crate::corpus::corpus;

/// Nodes of a tree that do more than read, by their names in its debug output, wherever in the tree
/// they are.
const OBJECTIONS: &[&str] = &[
    "LockClause {",
    "SelectInto {",
    "Insert(Insert {",
    "Update(Update {",
    "Delete(Delete {",
    "Merge(Merge {",
];

/// Why this text is not one read, by the tree; `None` if it is one.
fn objection(trees: &[Tree]) -> Option<String> {
    let [tree] = trees else {
        return Some(format!("{} statements", trees.len()));
    };
    let may_read = match tree {
        Tree::Query(_) | Tree::ExplainTable { .. } => true,
        Tree::Explain { statement, .. } => matches!(**statement, Tree::Query(_)),
        // `SHOW` in its many forms.
        other => other.to_string().starts_with("SHOW"),
    };
    if !may_read {
        return Some(format!("not a query: {tree}"));
    }
    let whole = format!("{tree:?}");
    let found = OBJECTIONS.iter().find(|node| whole.contains(**node));
    found.map(|node| format!("{node} .. }} in {tree}"))
}

fn parse(sql: &str) -> Option<Vec<Tree>> {
    Parser::parse_sql(&MySqlDialect {}, sql).ok()
}

#[test]
fn what_the_classifier_calls_a_read_is_a_query_without_locks() {
    let mut compared = 0;
    for it in corpus() {
        let Some(trees) = parse(&it.sql) else {
            continue;
        };
        if it.classification().is_read() {
            compared += 1;
            assert_eq!(objection(&trees), None, "{}", it.sql);
        }
    }
    assert!(
        compared >= 150,
        "only {compared} reads of the corpus were understood by both"
    );
}

/// The reason why the classifier is not made of this parser. If this fails, the parser has learned
/// it.
#[test]
fn the_other_parser_takes_these_writes_for_reads() {
    for sql in [
        "WITH c AS (SELECT 1) SELECT GET_LOCK('a', 1)",
        "SELECT touch_user(1)",
        "SELECT NEXTVAL(s)",
    ] {
        assert_eq!(objection(&parse(sql).expect(sql)), None, "{sql}");
        assert!(!classify(sql, Dialect::UTF8).is_read(), "{sql}");
    }
    let sql = "/*M!100100 DELETE FROM users */";
    assert!(parse(sql).expect(sql).is_empty());
    assert!(!classify(sql, Dialect::UTF8).is_read());
}

/// Pieces of statements, put together at random: mostly nonsense, sometimes not.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "SELECT",
        "*",
        "1",
        "id",
        "'x'",
        ",",
        "FROM",
        "users",
        "jobs",
        "WHERE",
        "id = 1",
        "AND",
        "(",
        ")",
        "(SELECT 1)",
        "UNION",
        "ALL",
        "FOR UPDATE",
        "FOR SHARE",
        "LOCK IN SHARE MODE",
        "WITH c AS (SELECT 1)",
        "WITH c AS (",
        "DELETE FROM users",
        "UPDATE users SET id = 1",
        "INSERT INTO users (id) VALUES (1)",
        "INTO @x",
        "INTO OUTFILE 'x'",
        "LIMIT 1",
        "ORDER BY id",
        ";",
        "EXPLAIN",
        "EXPLAIN ANALYZE",
        "SHOW TABLES",
        "SET @x = 1",
        "-- x\n",
        "/* x */",
        "COUNT(*)",
        "GET_LOCK('a', 1)",
        "AS a",
        "VALUES",
        "IN (SELECT id FROM jobs FOR UPDATE)",
        "SKIP LOCKED",
        "JOIN",
        "ON TRUE",
        "BEGIN",
        "COMMIT",
        "CALL p()",
        "TABLE users",
    ]);
    prop::collection::vec(piece, 1..12).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn they_agree_on_what_both_understand(sql in pieces()) {
        if classify(&sql, Dialect::UTF8).is_read() && let Some(trees) = parse(&sql) {
            prop_assert_eq!(objection(&trees), None, "{}", sql);
        }
    }
}
