//! The SQL that differs between the databases in Flask-Session's layout.

use crate::dialect::Driver;

/// The fragments of this layout for the database `D`, in the form of [`Driver::FRAGMENTS`].
///
/// They may refer to the fragments of the database.
pub(super) fn fragments<D: Driver>() -> &'static str {
    match D::URL_SCHEMES[0] {
        "sqlite" => SQLITE,
        "postgres" => POSTGRES,
        _ => MYSQL,
    }
}

// SQLAlchemy writes an expiry as `2026-11-21 00:42:40.800486`. It reads a `T` in place of the space
// and fewer digits or none after the point, so this layout does too.
const SQLITE: &str = "
    @create_flask CREATE TABLE IF NOT EXISTS {table} (id INTEGER NOT NULL, session_id VARCHAR(255), data BLOB, \
        expiry DATETIME, PRIMARY KEY (id), UNIQUE (session_id))
    @flask_facts SELECT 'unique id' FROM pragma_index_list('{name}', {schema}) AS list
        WHERE list.\"unique\" AND NOT list.partial
        AND (SELECT group_concat(name) FROM pragma_index_info(list.name, {schema})) = 'session_id'
        UNION ALL SELECT 'naive expiry' FROM pragma_table_info('{name}', {schema})
    @expired_of_batch id IN ({placeholders}) AND {expiry} <= ?
    @empty x''
    @data CAST(COALESCE(data, x'') AS BLOB)
    @id id
    @is_session session_id = ? AND session_id = ? COLLATE BINARY
    @expiry COALESCE(unixepoch(substr(expiry, 1, 19)) * 1000000
        + CAST(substr(substr(expiry, 21) || '000000', 1, 6) AS INTEGER), 0)
    @to_expiry (SELECT strftime('%Y-%m-%d %H:%M:%S', micros / 1000000, 'unixepoch')
        || printf('.%06d', micros % 1000000) FROM (SELECT ? AS micros))";

// The sweep selects the expired ids into an array: so each row is locked once, not once for each
// row that it is compared with. LEAST and GREATEST ignore NULL. An expiry is exact to the
// microsecond until the year 2255.
const POSTGRES: &str = "
    @create_flask CREATE TABLE IF NOT EXISTS {table} (id SERIAL NOT NULL, session_id VARCHAR(255), data BYTEA,
        expiry TIMESTAMP WITHOUT TIME ZONE, PRIMARY KEY (id), UNIQUE (session_id))
    @flask_facts SELECT 'unique id' FROM pg_index AS i JOIN pg_attribute AS a
        ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] AND a.attname = 'session_id'
        WHERE i.indrelid = to_regclass('{table}') AND i.indisunique AND i.indisvalid AND i.indnatts = 1
        AND i.indpred IS NULL
        UNION ALL SELECT 'naive expiry' FROM pg_attribute WHERE attrelid = to_regclass('{table}')
        AND attname = 'expiry' AND atttypid = 'timestamp'::regtype
    @expired_of_batch id = ANY(ARRAY(SELECT id FROM {table} WHERE id IN ({placeholders}) AND {expiry} <= ?
        FOR UPDATE SKIP LOCKED))
    @empty ''::bytea
    @data COALESCE(data, ''::bytea)
    @id id::bigint
    @is_session session_id = ? AND session_id COLLATE \"C\" = ?
    @expiry CAST(EXTRACT(EPOCH FROM LEAST(GREATEST(expiry, TIMESTAMP 'epoch'),
        TIMESTAMP '9999-12-31 23:59:59')) * 1000000 AS bigint)
    @to_expiry TIMESTAMP 'epoch' + ? * INTERVAL '1 microsecond'";

// The column keeps whole seconds. MySQL would round to the nearest, so the value is rounded down.
const MYSQL: &str = "
    @create_flask CREATE TABLE IF NOT EXISTS {table} (id INTEGER NOT NULL AUTO_INCREMENT,
        session_id VARCHAR(255), data BLOB, expiry DATETIME, PRIMARY KEY (id), UNIQUE (session_id))
    @flask_facts SELECT 'unique id' FROM information_schema.statistics WHERE {here} AND non_unique = 0
        GROUP BY index_name
        HAVING COUNT(*) = 1 AND MAX(column_name) = 'session_id' AND MAX(sub_part) IS NULL
        UNION ALL SELECT 'naive expiry' FROM information_schema.columns
        WHERE {here} AND column_name = 'expiry' AND data_type = 'datetime'
        UNION ALL SELECT CONCAT('room ', character_octet_length) FROM information_schema.columns
        WHERE {here} AND column_name = 'data'
    @expired_of_batch id IN ({placeholders}) AND {expiry} <= ?
    @empty x''
    @data COALESCE(data, x'')
    @id CAST(id AS SIGNED)
    @is_session session_id = ?
        AND CAST(CONVERT(session_id USING utf8mb4) AS BINARY) = CAST(? AS BINARY)
    @expiry COALESCE(TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', expiry), 0)
    @to_expiry TIMESTAMPADD(SECOND, ? DIV 1000000, TIMESTAMP'1970-01-01 00:00:00')";
