//! The tables, as steps from each version to the next; each store takes them in its own way.
//!
//! They are written in SQLite's words; PostgreSQL's version of them differs in the names of types only.

/// 0 is a new store.
pub(super) const SCHEMA_VERSION: i64 = STEPS.len() as i64;

/// What makes each version from the one before it; the first makes a store from nothing.
pub(super) const STEPS: [&str; 9] =
    [APIS, ENTITIES, REFERENCES, PROCESSES, AUDIT, DATA_KEY, AUDIT_REFUSALS, ENTITIES_BY_USE, QUOTAS];

/// - `api`: one row an API, of either kind.
/// - `part`: what belongs to an API, by kind and id; `name` is a second unique name.
/// - `slot`: what the newest root lists: one unit a stage; with an empty API, the account's unit (an empty stage too)
///   and shared units (`family/id` as the stage).
/// - `unit`: encoded units; `retired_at` is the version of the first root that no longer lists it.
/// - `root`: one row, the newest root.
/// - `compiler`: one row, the revision of the compiler that made the units.
const APIS: &str = "
    CREATE TABLE api (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        doc TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE part (
        api_id TEXT NOT NULL REFERENCES api (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        name TEXT,
        doc TEXT NOT NULL,
        PRIMARY KEY (api_id, kind, id)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX part_by_name ON part (api_id, kind, name) WHERE name IS NOT NULL;
    CREATE TABLE slot (
        api_id TEXT NOT NULL,
        stage TEXT NOT NULL,
        hash BLOB NOT NULL,
        bytes_len INTEGER NOT NULL,
        PRIMARY KEY (api_id, stage)
    ) WITHOUT ROWID;
    CREATE TABLE unit (
        hash BLOB PRIMARY KEY,
        retired_at INTEGER,
        bytes BLOB NOT NULL
    );
    CREATE INDEX unit_by_retirement ON unit (retired_at) WHERE retired_at IS NOT NULL;
    CREATE TABLE root (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        version INTEGER NOT NULL,
        bytes BLOB NOT NULL
    );
    CREATE TABLE compiler (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        revision INTEGER NOT NULL
    );
";

/// - `entity`: what belongs to the account, by kind; `owner` is the entity that it is a part of, or empty; `name` is a
///   second name, unique within kind and owner; `uses` is what it depends on.
/// - `unit.sealed`: whether the bytes are encrypted, since they hold a private key.
/// - `secrets`: one row, a text that only the right key opens.
const ENTITIES: &str = "
    CREATE TABLE entity (
        kind TEXT NOT NULL,
        owner TEXT NOT NULL,
        id TEXT NOT NULL,
        name TEXT,
        uses TEXT,
        doc TEXT NOT NULL,
        PRIMARY KEY (kind, owner, id)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX entity_by_name ON entity (kind, owner, name) WHERE name IS NOT NULL;
    CREATE INDEX entity_by_use ON entity (kind, uses) WHERE uses IS NOT NULL;
    ALTER TABLE unit ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE secrets (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        probe BLOB NOT NULL
    );
";

/// - `reference`: which shared units the unit of a stage refers to.
const REFERENCES: &str = "
    CREATE TABLE reference (
        api_id TEXT NOT NULL,
        stage TEXT NOT NULL,
        family TEXT NOT NULL,
        id TEXT NOT NULL,
        PRIMARY KEY (api_id, stage, family, id),
        FOREIGN KEY (api_id, stage) REFERENCES slot (api_id, stage) ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE INDEX reference_by_unit ON reference (family, id);
";

/// - `process`: one row a process that has changed something; `mark` is the number of its last change.
/// - `lease`: what one process at a time does for all; `holder` may until `until_s`, in seconds since 1970.
const PROCESSES: &str = "
    CREATE TABLE process (
        id TEXT PRIMARY KEY,
        mark INTEGER NOT NULL,
        seen_at_s INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE lease (
        name TEXT PRIMARY KEY,
        holder TEXT NOT NULL,
        until_s INTEGER NOT NULL
    ) WITHOUT ROWID;
";

/// - `audit`: one row a change, or one that was refused; `id` sorts by time. With row ids, so that the index of ids
///   has no documents in it.
const AUDIT: &str = "
    CREATE TABLE audit (
        id TEXT PRIMARY KEY,
        actor TEXT NOT NULL,
        operation TEXT NOT NULL,
        resource TEXT NOT NULL,
        doc TEXT NOT NULL
    );
";

/// - `secrets.data_key`: what secrets are encrypted with, itself encrypted; none in stores of earlier versions.
const DATA_KEY: &str = "
    ALTER TABLE secrets ADD COLUMN data_key BLOB;
";

/// - `audit.refused`: whether it is what policies refused; such records can't push out those of changes.
const AUDIT_REFUSALS: &str = "
    ALTER TABLE audit ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX audit_refused ON audit (id) WHERE refused = 1;
";

/// Where `kind` stands in the index before `uses`, SQLite prefers the primary key, and looks at all of a kind.
const ENTITIES_BY_USE: &str = "
    DROP INDEX entity_by_use;
    CREATE INDEX entity_by_use ON entity (uses) WHERE uses IS NOT NULL;
";

/// - `quota_use`: requests that an API key has made in a usage plan, by day since 1970 (UTC).
/// - `quota_lease`: requests that a gateway may let through on a day; of those granted, the spent ones are in
///   `quota_use`. A lease that has ended is kept only where a late message could take it for a new one.
const QUOTAS: &str = "
    CREATE TABLE quota_use (
        plan_id TEXT NOT NULL,
        key_id TEXT NOT NULL,
        day INTEGER NOT NULL,
        requests INTEGER NOT NULL,
        PRIMARY KEY (plan_id, key_id, day)
    ) WITHOUT ROWID;
    CREATE INDEX quota_use_by_day ON quota_use (day);
    CREATE TABLE quota_lease (
        id INTEGER PRIMARY KEY,
        plan_id TEXT NOT NULL,
        key_id TEXT NOT NULL,
        day INTEGER NOT NULL,
        gateway_id TEXT NOT NULL,
        granted INTEGER NOT NULL,
        spent INTEGER NOT NULL,
        ended INTEGER NOT NULL
    );
    CREATE INDEX quota_lease_by_key ON quota_lease (plan_id, key_id, day);
    CREATE INDEX quota_lease_by_day ON quota_lease (day);
";
