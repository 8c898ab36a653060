//! The statement classifier, pitfall by pitfall: what other splitters get wrong, each under its
//! number in the list of `tests/splitter_rules.rs` (C1 to C17), and what a classification says
//! beyond its class. The large corpus is classified in `classes.rs`.

use headless_mysql::statement::{Class, Classification, Control, Dialect, Reason, Server, SessionUse, classify};

fn classified(sql: &str) -> Classification {
    classify(sql, Dialect::UTF8)
}

fn class(sql: &str) -> Class {
    classified(sql).class()
}

#[track_caller]
fn all_are(wanted: Class, statements: &[&str]) {
    for sql in statements {
        let found = classified(sql);
        assert_eq!(found.class(), wanted, "{found}: {sql}");
    }
}

#[test]
fn c01_locking_reads_are_writes_wherever_the_lock_stands() {
    all_are(
        Class::Write,
        &[
            "SELECT id FROM jobs FOR UPDATE SKIP LOCKED;",
            "SELECT id FROM jobs FOR UPDATE WAIT 3",
            "(SELECT 1) UNION (SELECT id FROM jobs FOR SHARE)",
            "SELECT 1 FROM users WHERE id IN (SELECT id FROM jobs FOR UPDATE)",
            "SELECT id FROM jobs FOR /* no comment */ UPDATE -- at all",
        ],
    );
    assert_eq!(
        classified("SELECT id FROM jobs FOR UPDATE").to_string(),
        "locking read (FOR UPDATE) at byte 20"
    );
    assert_eq!(
        classified("SELECT id FROM jobs LOCK IN SHARE MODE").to_string(),
        "locking read (LOCK IN SHARE MODE) at byte 20"
    );
}

#[test]
fn c01_words_like_those_of_a_lock_are_not_a_lock() {
    let mariadb = Dialect::UTF8.with_server(Server::MariaDb);
    for sql in [
        "SELECT SUBSTRING(name FROM 1 FOR 2) FROM users",
        "SELECT id FROM users FORCE INDEX FOR JOIN (PRIMARY)",
        "SELECT id FROM history FOR SYSTEM_TIME AS OF NOW()",
        "SELECT t.update, t.lock, t.share FROM nodes t",
        "SELECT `update`, `lock` FROM nodes",
        "SELECT 'FOR UPDATE' AS `FOR UPDATE`",
    ] {
        let found = classify(sql, mariadb);
        assert_eq!(found.class(), Class::Read, "{found}: {sql}");
    }
}

#[test]
fn c02_a_common_table_expression_may_stand_before_a_write() {
    all_are(
        Class::Write,
        &[
            "WITH c AS (SELECT 1) UPDATE users SET age = 1",
            "WITH RECURSIVE c (n) AS (SELECT 1) DELETE FROM users",
        ],
    );
    assert_eq!(
        classified("WITH c AS (SELECT 1) DELETE FROM users").to_string(),
        "DELETE inside the statement at byte 21"
    );
}

#[test]
fn c03_locks_by_name_belong_to_the_primary_and_to_a_held_session() {
    for function in [
        "GET_LOCK('a', 1)",
        "RELEASE_LOCK('a')",
        "IS_FREE_LOCK('a')",
        "IS_USED_LOCK('a')",
        "RELEASE_ALL_LOCKS()",
    ] {
        for statement in ["SELECT ", "DO ", "SELECT 1 FROM users WHERE 1 = "] {
            let found = classified(&format!("{statement}{function}"));
            assert_eq!(found.class(), Class::Write, "{statement}{function}");
            assert!(found.needs_session(), "{statement}{function}");
            assert!(found.session().contains(SessionUse::LOCKS), "{statement}{function}");
        }
    }
}

#[test]
fn c04_what_the_connection_did_is_asked_on_that_connection() {
    for sql in [
        "SELECT LAST_INSERT_ID()",
        "SELECT FOUND_ROWS()",
        "SELECT ROW_COUNT()",
        "SELECT CONNECTION_ID()",
        "SELECT @@identity",
        "SELECT @@last_gtid",
        "SELECT @@warning_count",
        "SHOW WARNINGS",
        "SHOW ERRORS",
        "SHOW COUNT(*) ERRORS",
    ] {
        let found = classified(sql);
        assert_eq!(found.class(), Class::SessionRead, "{found}: {sql}");
        assert!(found.needs_session() && !found.session().leaves_traces(), "{sql}");
    }
    let insert = classified("INSERT INTO orders (user_id) VALUES (LAST_INSERT_ID())");
    assert_eq!(insert.class(), Class::Write);
    assert!(insert.needs_session(), "on another connection it would write 0");
}

#[test]
fn c05_sequences_give_their_values_on_the_primary() {
    let sequences = [
        "SELECT NEXTVAL(s)",
        "SELECT NEXT VALUE FOR s",
        "SELECT PREVIOUS VALUE FOR s",
        "SELECT s.nextval",
        "SELECT test.s.NextVal",
        "SELECT s.currval",
        "SELECT SETVAL(s, 1)",
        "SELECT LASTVAL(s)",
        "INSERT INTO users (id) VALUES (NEXT VALUE FOR s)",
    ];
    all_are(Class::Write, &sequences);
}

#[test]
fn c06_into_is_bound_to_the_session_or_a_write() {
    for sql in [
        "SELECT id FROM users LIMIT 1 INTO @v",
        "SELECT id INTO @v FROM users",
        "SELECT @a := 1",
    ] {
        let found = classified(sql);
        assert_eq!(found.class(), Class::Session, "{found}: {sql}");
        assert!(found.session().contains(SessionUse::USER_VARIABLES), "{sql}");
    }
    all_are(
        Class::Write,
        &[
            "SELECT id INTO DUMPFILE '/tmp/x' FROM users LIMIT 1",
            "SELECT id FROM users INTO",
        ],
    );
}

#[test]
fn c07_executable_comments_are_code() {
    for sql in [
        "/*! DELETE FROM users */",
        "/*!50000 DELETE FROM users */",
        "/*M! DELETE FROM users */",
        "/*M!100100 DELETE FROM users */",
        "SELECT id FROM jobs /*! FOR UPDATE */",
        "SELECT /*!40001 SQL_NO_CACHE */ id FROM jobs",
        "SELECT 1; /*!50000 DELETE FROM users */",
    ] {
        let found = classified(sql);
        assert_eq!(
            (found.class(), found.reason()),
            (Class::Write, Reason::ExecutableComment),
            "{sql}"
        );
        assert!(found.session().contains(SessionUse::UNKNOWN), "{sql}");
    }
}

#[test]
fn c08_comments_and_quotes_do_not_change_the_class() {
    all_are(
        Class::Read,
        &[
            "-- DELETE\nSELECT 1",
            "# DELETE\nSELECT 1",
            "SELECT /*+ MAX_EXECUTION_TIME(5) */ 1",
            "SELECT 'FOR UPDATE', \"INTO OUTFILE\", 1 AS `DELETE`",
            "SELECT 'it''s -- no comment'",
            "SELECT 1 --",
        ],
    );
    all_are(
        Class::Write,
        &[
            "SELECT id FROM jobs --x\nFOR UPDATE",
            "SELECT 'a' -- '\nFROM jobs FOR UPDATE",
            "/* SELECT */ DELETE FROM users",
            "SELECT 1 /* /* */ FOR UPDATE */",
            "SELECT 1 /*",
            "SELECT 'FOR UPDATE",
        ],
    );
}

#[test]
fn c08_doubtful_quotes_are_settled_by_the_mode() {
    // With backslash escapes, all of it is one string. Without them, the string ends early and the
    // lock is real.
    let sql = r"SELECT 'a\' FOR UPDATE -- '";
    assert_eq!(classified(sql).reason(), Reason::DoubtfulQuoting);
    let with = |mode| classify(sql, Dialect::UTF8.with_sql_mode(mode));
    assert_eq!(with("STRICT_TRANS_TABLES").class(), Class::Read);
    assert_eq!(with("NO_BACKSLASH_ESCAPES").reason(), Reason::LockingRead("FOR UPDATE"));

    // A quoted name can be called, a string cannot.
    let sql = "SELECT \"touch\"(1)";
    assert_eq!(classified(sql).class(), Class::Write);
    assert_eq!(
        classify(sql, Dialect::UTF8.with_sql_mode("ANSI_QUOTES")).class(),
        Class::Write
    );

    // In ANSI_QUOTES, a backslash means nothing in a name.
    let sql = "SELECT \"a\\\" FOR UPDATE -- \"";
    assert_eq!(classified(sql).reason(), Reason::DoubtfulQuoting);
    assert_eq!(
        classify(sql, Dialect::UTF8.with_sql_mode("ANSI_QUOTES")).reason(),
        Reason::LockingRead("FOR UPDATE")
    );
    assert_eq!(classify(sql, Dialect::UTF8.with_sql_mode("")).class(), Class::Read);
}

#[test]
fn c09_several_statements_are_classified_as_one_that_may_do_anything() {
    for sql in [
        "SELECT 1; SELECT 2",
        "SELECT 1;;",
        "SELECT 1; -- x\nDELETE FROM users",
        "DELETE FROM users; SELECT 1",
    ] {
        let found = classified(sql);
        assert_eq!(found.class(), Class::Multi, "{found}: {sql}");
        assert!(found.session().contains(SessionUse::UNKNOWN), "{sql}");
    }
    all_are(Class::Read, &["SELECT 1 ; ", "SELECT ';'", "SELECT 1; /* done */"]);
}

#[test]
fn c10_a_plan_is_a_read_and_running_a_write_for_its_plan_is_a_write() {
    all_are(
        Class::Read,
        &["EXPLAIN SELECT 1", "EXPLAIN FORMAT=JSON SELECT 1", "ANALYZE SELECT 1"],
    );
    all_are(Class::Write, &["EXPLAIN ANALYZE SELECT id FROM jobs FOR UPDATE"]);
    assert_eq!(class("EXPLAIN FOR CONNECTION 5"), Class::NodeRead);
}

#[test]
fn c11_anything_that_is_not_known_to_read_is_a_write() {
    all_are(
        Class::Write,
        &[
            "PREPARE s FROM 'SELECT 1'",
            "LOAD DATA INFILE 'x' INTO TABLE users",
            "SET STATEMENT max_statement_time = 1 FOR SELECT 1",
            "BEGIN NOT ATOMIC SELECT 1",
            "KILL 1",
            "FLUSH TABLES",
            "DELETE FROM users RETURNING id",
            "unheard of",
            "",
            "   -- nothing\n",
        ],
    );
}

#[test]
fn c12_a_function_that_is_not_known_may_write() {
    all_are(
        Class::Write,
        &[
            "SELECT touch(1)",
            "SELECT touch (1)",
            "SELECT `touch`(1)",
            "SELECT test.touch(1)",
            "SELECT COALESCE(NULL, touch(1))",
            "SELECT id FROM users ORDER BY touch(id)",
        ],
    );
    // A name before a parenthesis is not always a call.
    all_are(
        Class::Read,
        &[
            "WITH c (a, b) AS (SELECT 1, 2) SELECT a FROM c",
            "SELECT d.a FROM (SELECT 1) AS d (a)",
            "SELECT CAST(1 AS DECIMAL(10,2)), CAST(1 AS whatever(5))",
            "SELECT id FROM users USE INDEX (PRIMARY)",
        ],
    );
}

#[test]
fn c12_a_function_of_the_other_server_may_be_a_stored_one_here() {
    let with = |sql, server| classify(sql, Dialect::UTF8.with_server(server)).class();
    for (sql, at_home, elsewhere) in [
        ("SELECT ANY_VALUE(id) FROM users", Server::MySql, Server::MariaDb),
        ("SELECT NVL(age, 0) FROM users", Server::MariaDb, Server::MySql),
        ("SELECT 1, LATERAL (SELECT 1)", Server::MySql, Server::MariaDb),
    ] {
        assert_eq!(with(sql, at_home), Class::Read, "{sql}");
        assert_eq!(with(sql, elsewhere), Class::Write, "{sql}");
        assert_eq!(class(sql), Class::Write, "{sql}");
    }
}

#[test]
fn c13_changes_of_the_session_need_a_held_one() {
    for (sql, does) in [
        ("SET sql_mode = ''", SessionUse::SETTINGS.union(SessionUse::DIALECT)),
        ("SET NAMES utf8mb4", SessionUse::SETTINGS.union(SessionUse::DIALECT)),
        ("SET @@session.time_zone = '+00:00'", SessionUse::SETTINGS),
        ("SET @a = 1", SessionUse::USER_VARIABLES),
        (
            "SET @a = 1, time_zone = '+00:00'",
            SessionUse::USER_VARIABLES.union(SessionUse::SETTINGS),
        ),
        ("USE test", SessionUse::SCHEMA),
    ] {
        let found = classified(sql);
        assert_eq!(found.class(), Class::Session, "{found}: {sql}");
        assert!(found.needs_session(), "{sql}");
        assert!(found.session().contains(does), "{:?}: {sql}", found.session());
    }
    assert!(!classified("SET @a = 1").session().contains(SessionUse::SETTINGS));
    assert!(
        !classified("SET time_zone = '+00:00'")
            .session()
            .contains(SessionUse::DIALECT)
    );
    all_are(
        Class::Write,
        &[
            "SET GLOBAL x = 1",
            "SET @@global.x = 1",
            "SET PERSIST x = 1",
            "SET x = 1, GLOBAL y = 2",
        ],
    );
}

#[test]
fn c14_temporary_tables_are_seen() {
    for sql in [
        "CREATE TEMPORARY TABLE t (a INT)",
        "CREATE OR REPLACE TEMPORARY TABLE t (a INT)",
        "CREATE /* x */ TEMPORARY TABLE t AS SELECT 1",
        "create temporary table t like users",
        "DROP TEMPORARY TABLE t",
    ] {
        let found = classified(sql);
        assert_eq!(found.class(), Class::Write, "{sql}");
        assert!(
            found.session().contains(SessionUse::TEMPORARY_TABLES) && found.needs_session(),
            "{sql}"
        );
    }
    assert_eq!(
        classified("CREATE TABLE t (a INT, KEY k (a))").session(),
        SessionUse::NONE
    );
}

#[test]
fn c15_what_each_server_has_for_itself_is_told_apart() {
    all_are(
        Class::NodeRead,
        &[
            "SELECT * FROM information_schema.processlist",
            "SELECT * FROM `performance_schema` . `threads`",
            "SELECT * FROM mysql.slow_log",
            "SHOW GLOBAL VARIABLES",
            "SELECT @@global.gtid_slave_pos",
        ],
    );
    assert_eq!(class("SHOW TABLES"), Class::Read, "the schema is replicated");
}

#[test]
fn transactions_are_told_apart() {
    use Control::{Autocommit, Commit, Rollback, Savepoint, Start, StartReadOnly};
    for (sql, control) in [
        ("BEGIN", Start),
        ("BEGIN WORK", Start),
        ("START TRANSACTION", Start),
        ("START TRANSACTION READ WRITE", Start),
        ("START TRANSACTION READ ONLY", StartReadOnly),
        ("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", StartReadOnly),
        ("COMMIT AND CHAIN", Commit),
        ("ROLLBACK", Rollback),
        ("ROLLBACK TO SAVEPOINT a", Savepoint),
        ("SAVEPOINT a", Savepoint),
        ("RELEASE SAVEPOINT a", Savepoint),
        ("SET autocommit = 0", Autocommit),
        ("SET @@session.autocommit = 1", Autocommit),
    ] {
        let found = classified(sql);
        assert_eq!(found.class(), Class::Transaction(control), "{found}: {sql}");
        assert!(
            found.session().contains(SessionUse::TRANSACTION) && found.needs_session(),
            "{sql}"
        );
    }
}

#[test]
fn with_serializable_isolation_reads_lock() {
    for sql in [
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET SESSION tx_isolation = 'serializable'",
    ] {
        let found = classified(sql);
        assert_eq!(
            (found.class(), found.reason()),
            (Class::Write, Reason::Serializable),
            "{sql}"
        );
        assert!(found.session().contains(SessionUse::SETTINGS), "{sql}");
    }
}

#[test]
fn a_plain_write_leaves_the_session_as_it_was() {
    for sql in [
        "INSERT INTO users (id, name) VALUES (?, ?)",
        "INSERT INTO test.users (id, name) SELECT id, UPPER(name) FROM users",
        "INSERT INTO users (id) VALUES (1) ON DUPLICATE KEY UPDATE id = VALUES(id)",
        "REPLACE INTO users (id) VALUES (1)",
        "UPDATE users SET age = age + 1 WHERE id IN (1, 2)",
        "DELETE FROM users WHERE created_at < NOW() - INTERVAL 1 DAY",
        "CREATE TABLE t (a DECIMAL(10,2), KEY k (a))",
        "SELECT id FROM jobs FOR UPDATE",
        "LOAD DATA INFILE 'x' INTO TABLE users (id, name)",
    ] {
        let found = classified(sql);
        assert_eq!(found.class(), Class::Write, "{sql}");
        assert_eq!(found.session(), SessionUse::NONE, "{sql}");
        assert!(!found.needs_session(), "{sql}");
    }
}

#[test]
fn what_else_leaves_traces_is_told() {
    for (sql, does) in [
        ("CALL p()", SessionUse::UNKNOWN),
        ("SELECT touch(1)", SessionUse::UNKNOWN),
        ("INSERT INTO users (id) VALUES (touch(1))", SessionUse::UNKNOWN),
        ("UPDATE users SET age = (@n := @n + 1)", SessionUse::USER_VARIABLES),
        (
            "LOAD DATA INFILE 'x' INTO TABLE users (@a) SET id = @a",
            SessionUse::USER_VARIABLES,
        ),
        ("LOCK TABLES users READ", SessionUse::LOCKS),
        ("FLUSH TABLES WITH READ LOCK", SessionUse::LOCKS),
        ("HANDLER users OPEN", SessionUse::LOCKS),
        ("PREPARE s FROM 'SELECT 1'", SessionUse::PREPARED),
        ("XA START 'a'", SessionUse::TRANSACTION),
    ] {
        let found = classified(sql);
        assert_eq!(found.class(), Class::Write, "{sql}");
        assert!(found.session().contains(does), "{:?}: {sql}", found.session());
        assert!(found.session().leaves_traces(), "{sql}");
    }
    assert_eq!(classified("FLUSH PRIVILEGES").session(), SessionUse::NONE);
}

#[test]
fn character_sets_with_letters_that_hide_a_quote_are_not_read() {
    let sql = "SELECT 'größe'";
    assert_eq!(class(sql), Class::Read);
    for (charset, wanted) in [
        ("utf8mb4", Class::Read),
        ("utf8", Class::Read),
        ("latin1", Class::Write),
        ("gbk", Class::Write),
        ("utf16", Class::Write),
        ("", Class::Write),
    ] {
        assert_eq!(
            classify(sql, Dialect::UTF8.with_charset(charset)).class(),
            wanted,
            "{charset}"
        );
    }
    assert_eq!(
        classify("SELECT 1", Dialect::UTF8.with_charset("GBK")).class(),
        Class::Read
    );
    assert_eq!(
        classify("SELECT 1", Dialect::UTF8.with_charset("swe7")).class(),
        Class::Write
    );
    assert_eq!(classified("SELECT _gbk'a'").reason(), Reason::UnknownCharset);
}

#[test]
fn modes_of_other_languages_are_not_read() {
    for mode in ["ORACLE", "ansi_quotes, oracle", "MSSQL"] {
        let found = classify("SELECT 1", Dialect::UTF8.with_sql_mode(mode));
        assert_eq!(found.reason(), Reason::ForeignSqlMode, "{mode}");
    }
}

#[test]
fn the_first_of_the_most_careful_rules_is_the_reason() {
    let found = classified("SELECT @a, VERSION(), touch(1), GET_LOCK('a', 1)");
    assert_eq!((found.reason(), found.offset()), (Reason::UnknownFunction, 22));
    assert!(
        found.session().contains(SessionUse::LOCKS.union(SessionUse::READS)),
        "and the rest counts too"
    );
}

#[test]
fn classifications_name_the_rule_and_the_place() {
    for (sql, words) in [
        ("SELECT 1", "query at byte 0"),
        ("  UPDATE users SET age = 1", "UPDATE, which is not a query at byte 2"),
        (
            "SELECT touch(1)",
            "call of a function that is not known to only read at byte 7",
        ),
        (
            "SELECT COUNT (*)",
            "COUNT with a blank before its parenthesis at byte 7",
        ),
        ("SELECT NVL(1, 2)", "NVL(), which may not be built in here at byte 7"),
        ("SELECT 1; SELECT 2", "another statement behind the semicolon at byte 8"),
        ("SELECT 1 /*!, 2 */", "executable comment at byte 9"),
        (
            "SELECT LAST_INSERT_ID()",
            "LAST_INSERT_ID(), which answers for this connection only at byte 7",
        ),
    ] {
        assert_eq!(classified(sql).to_string(), words);
    }
}
