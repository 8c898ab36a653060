//! The names that may stand before a parenthesis, and what each means there: data only, found by
//! `words.rs`.
//!
//! Sources: the lists of functions in the manuals of MySQL 8.0 to 9.x and MariaDB 10.6 to 11.x. A
//! name belongs here only if its function provably changes neither data nor session. A stored
//! function can have the name of a built-in one, but then it is called with its schema before it,
//! which the classifier does not let pass. Only on a server so old that the name is not yet built
//! in would a stored function of that name be called instead.
//!
//! Left out, so that they go to the primary, each for a reason: `UUID_SHORT` (unique only as long
//! as one server makes them), `LOAD_FILE` (a file of one server, and a privilege no application
//! needs), `PASSWORD` and `ENCRYPT` (to make accounts with), functions of plug-ins (they are
//! loadable, and may do anything). Let in, although they look dangerous: `SLEEP` and `BENCHMARK`
//! (they cost time and change nothing), `UUID`, `RAND` and `NOW` (their answers may go into a later
//! write, which then is a write), `DATABASE` and `USER` (the same on all pods of one pool: same
//! login, same default schema).

/// Not a call at all: keywords before a list, a subquery, an expression or the size of a type.
pub(super) const KEYWORDS: &[&str] = &[
    "AGAINST", "ALL", "AND", "ANY", "BETWEEN", "BIGINT", "BINARY", "BY", "CASE", "COLUMNS", "DATETIME", "DECIMAL",
    "DISTINCT", "DISTINCTROW", "DIV", "DOUBLE", "ELSE", "ESCAPE", "EXCEPT", "EXISTS", "FLOAT", "FROM", "GROUP",
    "HAVING", "IN", "INDEX", "INT", "INTEGER", "INTERSECT", "IS", "JOIN", "KEY", "LIKE", "MATCH", "NOT", "NUMERIC",
    "OFFSET", "ON", "OR", "OVER", "PARTITION", "REAL", "REGEXP", "RLIKE", "ROW", "SMALLINT", "SOME", "STRAIGHT_JOIN",
    "THEN", "TINYINT", "UNION", "USING", "VARBINARY", "VARCHAR", "WHEN", "WHERE", "XOR",
];

/// Keywords in one family only; in the other, such a name could be a stored function's.
pub(super) const MYSQL_KEYWORDS: &[&str] = &["LATERAL", "OF"];

/// Built in everywhere.
pub(super) const BUILT_IN: &[&str] = &[
    // Control flow, comparison, numbers.
    "ABS", "ACOS", "ASIN", "ATAN", "ATAN2", "BIT_COUNT", "CEIL", "CEILING", "COALESCE", "CONV", "COS", "COT", "CRC32",
    "DEFAULT", "DEGREES", "EXP", "FLOOR", "GREATEST", "IF", "IFNULL", "INTERVAL", "ISNULL", "LEAST", "LN", "LOG",
    "LOG10", "LOG2", "MOD", "NULLIF", "PI", "POW", "POWER", "RADIANS", "RAND", "ROUND", "SIGN", "SIN", "SQRT", "TAN",
    // Strings.
    "ASCII", "BIN", "BIT_LENGTH", "CHAR", "CHARACTER_LENGTH", "CHARSET", "CHAR_LENGTH", "COERCIBILITY", "COLLATION",
    "CONCAT", "CONCAT_WS", "CONVERT", "ELT", "EXPORT_SET", "EXTRACTVALUE", "FIELD", "FIND_IN_SET", "FORMAT",
    "FROM_BASE64", "HEX", "INSTR", "LCASE", "LEFT", "LENGTH", "LOCATE", "LOWER", "LPAD", "LTRIM", "MAKE_SET",
    "NAME_CONST", "OCT", "OCTET_LENGTH", "ORD", "QUOTE", "REGEXP_INSTR", "REGEXP_REPLACE", "REGEXP_SUBSTR", "REPEAT",
    "REVERSE", "RIGHT", "RPAD", "RTRIM", "SOUNDEX", "SPACE", "STRCMP", "SUBSTRING_INDEX", "TO_BASE64", "UCASE", "UNHEX",
    "UPDATEXML", "UPPER", "WEIGHT_STRING",
    // Date and time.
    "ADDTIME", "CONVERT_TZ", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "DATE", "DATEDIFF", "DAY", "DAYNAME",
    "DAYOFMONTH", "DAYOFWEEK", "DAYOFYEAR", "FROM_DAYS", "FROM_UNIXTIME", "GET_FORMAT", "HOUR", "LAST_DAY", "LOCALTIME",
    "LOCALTIMESTAMP", "MAKEDATE", "MAKETIME", "MICROSECOND", "MINUTE", "MONTH", "MONTHNAME", "PERIOD_ADD",
    "PERIOD_DIFF", "QUARTER", "SECOND", "SEC_TO_TIME", "STR_TO_DATE", "SUBTIME", "TIME", "TIMEDIFF", "TIMESTAMP",
    "TIMESTAMPADD", "TIMESTAMPDIFF", "TIME_FORMAT", "TIME_TO_SEC", "TO_DAYS", "TO_SECONDS", "UNIX_TIMESTAMP",
    "UTC_DATE", "UTC_TIME", "UTC_TIMESTAMP", "WEEK", "WEEKDAY", "WEEKOFYEAR", "YEAR", "YEARWEEK",
    // Aggregates, JSON, digests, addresses.
    "AVG", "JSON_ARRAY", "JSON_ARRAY_APPEND", "JSON_ARRAY_INSERT", "JSON_CONTAINS", "JSON_CONTAINS_PATH", "JSON_DEPTH",
    "JSON_EXTRACT", "JSON_INSERT", "JSON_KEYS", "JSON_LENGTH", "JSON_MERGE", "JSON_MERGE_PATCH", "JSON_MERGE_PRESERVE",
    "JSON_OBJECT", "JSON_QUOTE", "JSON_REMOVE", "JSON_REPLACE", "JSON_SEARCH", "JSON_SET", "JSON_TYPE", "JSON_UNQUOTE",
    "JSON_VALID", "JSON_VALUE", "AES_DECRYPT", "AES_ENCRYPT", "COMPRESS", "MD5", "SHA", "SHA1", "SHA2", "UNCOMPRESS",
    "UNCOMPRESSED_LENGTH", "INET6_ATON", "INET6_NTOA", "INET_ATON", "INET_NTOA", "IS_IPV4", "IS_IPV4_COMPAT",
    "IS_IPV4_MAPPED", "IS_IPV6", "BENCHMARK", "CURRENT_USER", "DATABASE", "SCHEMA", "SLEEP", "USER", "UUID",
    // Geometry.
    "GEOMETRYCOLLECTION", "LINESTRING", "MBRCONTAINS", "MBRDISJOINT", "MBRINTERSECTS", "MBROVERLAPS", "MBRTOUCHES",
    "MBRWITHIN", "MULTILINESTRING", "MULTIPOINT", "MULTIPOLYGON", "POINT", "POLYGON", "ST_AREA", "ST_ASBINARY",
    "ST_ASGEOJSON", "ST_ASTEXT", "ST_ASWKB", "ST_ASWKT", "ST_BUFFER", "ST_CENTROID", "ST_CONTAINS", "ST_CONVEXHULL",
    "ST_CROSSES", "ST_DIFFERENCE", "ST_DIMENSION", "ST_DISJOINT", "ST_DISTANCE", "ST_DISTANCE_SPHERE", "ST_ENDPOINT",
    "ST_ENVELOPE", "ST_EQUALS", "ST_EXTERIORRING", "ST_GEOMCOLLFROMTEXT", "ST_GEOMCOLLFROMWKB",
    "ST_GEOMETRYCOLLECTIONFROMTEXT", "ST_GEOMETRYCOLLECTIONFROMWKB", "ST_GEOMETRYFROMTEXT", "ST_GEOMETRYFROMWKB",
    "ST_GEOMETRYN", "ST_GEOMETRYTYPE", "ST_GEOMFROMGEOJSON", "ST_GEOMFROMTEXT", "ST_GEOMFROMWKB", "ST_INTERIORRINGN",
    "ST_INTERSECTION", "ST_INTERSECTS", "ST_ISCLOSED", "ST_ISEMPTY", "ST_ISSIMPLE", "ST_LENGTH", "ST_LINEFROMTEXT",
    "ST_LINEFROMWKB", "ST_LINESTRINGFROMTEXT", "ST_LINESTRINGFROMWKB", "ST_NUMGEOMETRIES", "ST_NUMINTERIORRINGS",
    "ST_NUMPOINTS", "ST_OVERLAPS", "ST_POINTFROMTEXT", "ST_POINTFROMWKB", "ST_POINTN", "ST_POLYFROMTEXT",
    "ST_POLYFROMWKB", "ST_POLYGONFROMTEXT", "ST_POLYGONFROMWKB", "ST_SRID", "ST_STARTPOINT", "ST_SYMDIFFERENCE",
    "ST_TOUCHES", "ST_UNION", "ST_WITHIN", "ST_X", "ST_Y",
];

/// Built in everywhere, but only with the parenthesis directly behind the name: with a blank
/// between them, and without the mode `IGNORE_SPACE`, the server looks for a stored function of
/// that name (manual, "Function Name Parsing and Resolution").
pub(super) const TIGHT: &[&str] = &[
    "ADDDATE", "BIT_AND", "BIT_OR", "BIT_XOR", "CAST", "COUNT", "CUME_DIST", "CURDATE", "CURTIME", "DATE_ADD",
    "DATE_FORMAT", "DATE_SUB", "DENSE_RANK", "EXTRACT", "FIRST_VALUE", "GROUP_CONCAT", "JSON_ARRAYAGG",
    "JSON_OBJECTAGG", "JSON_TABLE", "LAG", "LAST_VALUE", "LEAD", "MAX", "MID", "MIN", "NOW", "NTH_VALUE", "NTILE",
    "PERCENT_RANK", "POSITION", "RANK", "ROW_NUMBER", "SESSION_USER", "STD", "STDDEV", "STDDEV_POP", "STDDEV_SAMP",
    "SUBDATE", "SUBSTR", "SUBSTRING", "SUM", "SYSDATE", "SYSTEM_USER", "TRIM", "VARIANCE", "VAR_POP", "VAR_SAMP",
];

/// Built into MySQL only.
pub(super) const MYSQL: &[&str] = &[
    "ANY_VALUE", "BIN_TO_UUID", "FORMAT_BYTES", "FORMAT_PICO_TIME", "GEOMCOLLECTION", "GROUPING", "GTID_SUBSET",
    "GTID_SUBTRACT", "IS_UUID", "JSON_OVERLAPS", "JSON_PRETTY", "JSON_SCHEMA_VALID", "JSON_SCHEMA_VALIDATION_REPORT",
    "JSON_STORAGE_FREE", "JSON_STORAGE_SIZE", "MBRCOVEREDBY", "MBRCOVERS", "MBREQUALS", "RANDOM_BYTES", "REGEXP_LIKE",
    "STATEMENT_DIGEST", "STATEMENT_DIGEST_TEXT", "STRING_TO_VECTOR", "ST_COLLECT", "ST_FRECHETDISTANCE", "ST_GEOHASH",
    "ST_HAUSDORFFDISTANCE", "ST_ISVALID", "ST_LATFROMGEOHASH", "ST_LATITUDE", "ST_LINEINTERPOLATEPOINT",
    "ST_LINEINTERPOLATEPOINTS", "ST_LONGFROMGEOHASH", "ST_LONGITUDE", "ST_MAKEENVELOPE", "ST_MPOINTFROMTEXT",
    "ST_POINTATDISTANCE", "ST_POINTFROMGEOHASH", "ST_SIMPLIFY", "ST_SWAPXY", "ST_TRANSFORM", "ST_VALIDATE",
    "UUID_TO_BIN", "VECTOR_DIM", "VECTOR_TO_STRING",
];

/// Built into MariaDB only, wherever the parenthesis stands.
pub(super) const MARIADB: &[&str] = &[
    "ASBINARY", "ASTEXT", "ASWKB", "ASWKT", "CHR", "COLUMN_ADD", "COLUMN_CHECK", "COLUMN_CREATE", "COLUMN_DELETE",
    "COLUMN_EXISTS", "COLUMN_GET", "COLUMN_JSON", "COLUMN_LIST", "GEOMFROMTEXT", "GEOMFROMWKB", "JSON_COMPACT",
    "JSON_DETAILED", "JSON_EXISTS", "JSON_LOOSE", "JSON_QUERY", "LENGTHB", "NVL", "NVL2", "POINTFROMTEXT",
    "ST_BOUNDARY", "ST_ISRING", "ST_POINTONSURFACE", "ST_RELATE", "SYS_GUID", "TO_CHAR",
];

/// Built into MariaDB only, and only directly before the parenthesis.
pub(super) const MARIADB_TIGHT: &[&str] = &["ADD_MONTHS", "MEDIAN", "PERCENTILE_CONT", "PERCENTILE_DISC"];

/// Reads that answer for the server that is asked.
pub(super) const NODE: &[&str] = &[
    "BINLOG_GTID_POS", "ICU_VERSION", "MASTER_GTID_WAIT", "MASTER_POS_WAIT", "SOURCE_POS_WAIT", "VERSION",
    "WAIT_FOR_EXECUTED_GTID_SET", "WSREP_LAST_SEEN_GTID", "WSREP_SYNC_WAIT_UPTO_GTID",
];

/// Reads that answer for the connection that asks.
pub(super) const SESSION: &[&str] = &[
    "CONNECTION_ID", "CURRENT_ROLE", "FOUND_ROWS", "LAST_INSERT_ID", "PS_CURRENT_THREAD_ID", "ROW_COUNT",
    "WSREP_LAST_WRITTEN_GTID",
];

/// Locks by name. Whether one is free is known where it is taken: on the primary.
pub(super) const LOCKS: &[&str] = &["GET_LOCK", "IS_FREE_LOCK", "IS_USED_LOCK", "RELEASE_ALL_LOCKS", "RELEASE_LOCK"];

/// Sequences.
pub(super) const SEQUENCES: &[&str] = &["LASTVAL", "NEXTVAL", "SETVAL"];

/// System variables that are the server's, also without `GLOBAL` before them.
pub(super) const NODE_VARIABLES: &[&str] = &[
    "basedir", "datadir", "gtid_binlog_pos", "gtid_binlog_state", "gtid_current_pos", "gtid_executed", "gtid_mode",
    "gtid_purged", "gtid_slave_pos", "hostname", "innodb_read_only", "log_bin", "port", "read_only", "server_id",
    "server_uuid", "socket", "super_read_only", "tmpdir", "version", "version_comment", "version_compile_os",
];
