"""The tables of the simulated world: phones, groups, pairings, and what reached whom."""

SIMULATOR_SCHEMA = (
    """
    CREATE TABLE sim_phones (
        number TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        restriction TEXT,
        receipts TEXT,
        created_at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE sim_groups (
        jid TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        size INTEGER NOT NULL CHECK (size >= 0),
        announce_only INTEGER NOT NULL,
        is_community INTEGER NOT NULL,
        is_community_announce INTEGER NOT NULL,
        invite_code TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE sim_members (
        phone TEXT NOT NULL REFERENCES sim_phones (number) ON DELETE CASCADE,
        jid TEXT NOT NULL REFERENCES sim_groups (jid) ON DELETE CASCADE,
        is_admin INTEGER NOT NULL,
        PRIMARY KEY (phone, jid)
    ) WITHOUT ROWID;
    CREATE INDEX sim_members_by_group ON sim_members (jid);
    CREATE TABLE sim_sessions (
        session_id TEXT PRIMARY KEY,
        status TEXT NOT NULL,
        since REAL NOT NULL,
        phone TEXT,
        reason TEXT,
        expected_phone TEXT,
        pairing_code TEXT,
        pairing_started_at REAL
    ) WITHOUT ROWID;
    CREATE TABLE sim_deliveries (
        id INTEGER PRIMARY KEY,
        group_jid TEXT NOT NULL,
        phone TEXT NOT NULL,
        session_id TEXT NOT NULL,
        client_ref TEXT,
        message_id TEXT NOT NULL,
        text TEXT NOT NULL,
        media_url TEXT,
        media_type TEXT,
        at REAL NOT NULL
    );
    CREATE INDEX sim_deliveries_by_message ON sim_deliveries (message_id);
    CREATE INDEX sim_deliveries_by_group ON sim_deliveries (group_jid, id);
    CREATE TABLE sim_faults (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        rule TEXT NOT NULL,
        seen INTEGER NOT NULL DEFAULT 0,
        fired INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE sim_options (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    """,
    """
    CREATE TABLE sim_rejections (message_id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
    """,
)
