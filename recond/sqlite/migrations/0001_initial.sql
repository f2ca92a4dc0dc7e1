-- The ledger. `positions` is for everybody to read and write; every other table is recond's and read-only for others.
--
-- What other writers must obey is in triggers that RAISE(ABORT): CHECKs, NOT NULLs, foreign keys and unique indexes
-- yield to a writer's pragmas or to its OR IGNORE / OR REPLACE, RAISE(ABORT) does not. Before SQLite 3.47 its message
-- must be a literal. Statements inside triggers yield as well, so each is preceded by a check and cannot conflict.
-- A BEFORE trigger cannot change the row, an AFTER trigger can, by an UPDATE; with recursive_triggers that would start
-- it again, but for the entry in `being_written`.
--
-- Quantities and money are decimal text. Times are RFC 3339 UTC text with six decimals.

CREATE TABLE accounts (
    name TEXT PRIMARY KEY NOT NULL,
    user_id INTEGER NOT NULL,
    environment TEXT NOT NULL,
    broker_account_id TEXT UNIQUE,   -- pinned at first contact
    adopted_at TEXT,                 -- first wholly settled run
    equity TEXT,                     -- at the last agreement
    equity_at TEXT,
    settled_at TEXT,                 -- broker's time of the last reading after which nothing was left open
    settled_seq INTEGER NOT NULL DEFAULT 0,
    repins INTEGER NOT NULL DEFAULT 0   -- how often it was pinned anew
) STRICT;

CREATE TRIGGER accounts_inserted BEFORE INSERT ON accounts
WHEN EXISTS (SELECT 1 FROM accounts WHERE name = NEW.name OR broker_account_id = NEW.broker_account_id)
BEGIN
    SELECT RAISE(ABORT, 'this account is registered already; accounts come from config.toml, let recond write them');
END;

CREATE TRIGGER accounts_renamed BEFORE UPDATE OF name ON accounts WHEN NEW.name IS NOT OLD.name
BEGIN
    SELECT RAISE(ABORT, 'accounts are not renamed: add the new name to config.toml');
END;

CREATE TRIGGER accounts_deleted BEFORE DELETE ON accounts
BEGIN
    SELECT RAISE(ABORT, 'accounts are not deleted: take it out of config.toml and leave its books');
END;

CREATE TRIGGER accounts_user_changed AFTER UPDATE OF user_id ON accounts
BEGIN
    UPDATE positions SET user_id = NEW.user_id WHERE account = NEW.name AND user_id IS NOT NEW.user_id;
END;

CREATE TABLE positions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT,                            -- required, as are symbol and quantity
    user_id INTEGER,                         -- follows the account
    strategy_id TEXT,                        -- NULL: unattributed
    symbol TEXT COLLATE NOCASE,              -- as Alpaca's positions have it: AAPL, BRK.B, BTCUSD
    asset_class TEXT,                        -- NULL: whatever the broker says
    asset_id TEXT,
    side TEXT,                               -- long | short, follows the quantity
    quantity TEXT,                           -- signed
    quantity_value REAL GENERATED ALWAYS AS (CAST(quantity AS REAL)) VIRTUAL,
    entry_price TEXT,
    current_price TEXT,
    market_value TEXT,
    unrealized_pl TEXT,
    unrealized_plpc TEXT,
    status TEXT DEFAULT 'open',              -- open | closed; closed is the same as quantity 0
    source TEXT DEFAULT 'platform',          -- platform | reconciliation
    opened_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    closed_at TEXT,
    close_reason TEXT,
    last_synced_at TEXT,
    version INTEGER DEFAULT 0,               -- grows by one with each change of quantity or strategy
    moved_at TEXT                            -- when it last grew
) STRICT;

CREATE UNIQUE INDEX positions_open ON positions (account, symbol, coalesce(strategy_id, '')) WHERE status = 'open';

-- One entry for each change of quantity, status or strategy of a row, by anybody: replaying `after - before` per
-- (account, symbol, strategy_id) gives the positions. A row that changes strategy or symbol makes two entries.
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    position_id INTEGER NOT NULL,
    account TEXT NOT NULL,
    symbol TEXT NOT NULL,
    strategy_id TEXT,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    version INTEGER NOT NULL,      -- the row's after this change
    correction_id INTEGER,         -- NULL: not recond's doing
    at TEXT NOT NULL
) STRICT;

CREATE INDEX changes_of_position ON changes (position_id, version);
CREATE INDEX changes_of_symbol ON changes (account, symbol, seq);

-- recond writes the correction first and then the row; the journal finds it by the version it will make.
CREATE TABLE corrections (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    position_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    account TEXT NOT NULL,
    symbol TEXT NOT NULL,
    asset_class TEXT NOT NULL,
    strategy_id TEXT,
    action TEXT NOT NULL,          -- open | set | close
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    cause TEXT NOT NULL,
    proven INTEGER NOT NULL DEFAULT 0,   -- whether evidence said why; `explanations` has what came later
    reverses TEXT,                       -- the corrections that this one undoes, as JSON; NULL: none
    at TEXT NOT NULL,
    UNIQUE (position_id, version)
) STRICT;

CREATE INDEX corrections_of_run ON corrections (run_id, symbol);
CREATE INDEX corrections_of_symbol ON corrections (account, symbol, id);
CREATE INDEX corrections_reversing ON corrections (account, symbol) WHERE reverses IS NOT NULL;
CREATE INDEX corrections_unproven ON corrections (account, at) WHERE proven = 0;

-- What evidence that came later says of a correction; it changes no quantity.
CREATE TABLE explanations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    correction_id INTEGER NOT NULL,
    run_id INTEGER NOT NULL,
    cause TEXT NOT NULL,
    explanation TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX explanations_of_correction ON explanations (correction_id);
CREATE INDEX explanations_of_run ON explanations (run_id);

CREATE TRIGGER changes_replaced BEFORE INSERT ON changes WHEN EXISTS (SELECT 1 FROM changes WHERE seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'changes is written by the triggers of positions only, and never rewritten');
END;

CREATE TRIGGER changes_updated BEFORE UPDATE ON changes
BEGIN
    SELECT RAISE(ABORT, 'changes is append-only');
END;

CREATE TRIGGER changes_deleted BEFORE DELETE ON changes
BEGIN
    SELECT RAISE(ABORT, 'changes is append-only');
END;

CREATE TRIGGER corrections_replaced BEFORE INSERT ON corrections
WHEN EXISTS (SELECT 1 FROM corrections
             WHERE id = NEW.id OR (position_id = NEW.position_id AND version = NEW.version))
BEGIN
    SELECT RAISE(ABORT, 'corrections is written by recond only, and never rewritten');
END;

CREATE TRIGGER corrections_updated BEFORE UPDATE ON corrections
BEGIN
    SELECT RAISE(ABORT, 'corrections is append-only');
END;

CREATE TRIGGER corrections_deleted BEFORE DELETE ON corrections
BEGIN
    SELECT RAISE(ABORT, 'corrections is append-only');
END;

-- The open rows as the journal has them. It tells what a row was before, and it still knows the row that an
-- INSERT OR REPLACE or UPDATE OR REPLACE deleted, which no trigger sees. Internal: written by triggers only.
CREATE TABLE open_rows (
    position_id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    symbol TEXT NOT NULL,
    strategy_id TEXT,
    side TEXT NOT NULL,
    quantity TEXT NOT NULL,
    amount TEXT NOT NULL,
    version INTEGER NOT NULL,      -- 0: being inserted
    moved_at TEXT NOT NULL
) STRICT;

CREATE INDEX open_rows_by_key ON open_rows (account, symbol);

-- The row that a trigger is at, and step by step the form in which it is to be stored. Empty between statements, since
-- RAISE undoes the whole statement. Internal: written by triggers only.
CREATE TABLE being_written (
    position_id INTEGER PRIMARY KEY,
    user_id INTEGER,
    strategy_id TEXT,
    written_symbol TEXT,
    written TEXT,                  -- the quantity
    status TEXT,
    correction_id INTEGER,
    moved_at TEXT NOT NULL,
    was_symbol TEXT,               -- was_*: as the journal has it; all NULL when the row was closed before
    was_strategy_id TEXT,
    was_side TEXT,
    was_quantity TEXT,
    was_amount TEXT,
    was_version INTEGER,           -- 0: being inserted

    name TEXT AS (upper(trim(written_symbol, char(9, 10, 11, 12, 13, 28, 29, 30, 31, 32)))) STORED,
    slash INTEGER AS (instr(name, '/')) STORED,
    quote TEXT AS (iif(slash > 1, substr(name, slash + 1), '')) STORED,
    symbol TEXT AS (
        CASE
            WHEN quote = '' OR quote GLOB '*[^A-Z0-9]*' THEN name
            WHEN length(quote) >= 3 THEN substr(name, 1, slash - 1) || 'USD'
            ELSE substr(name, 1, slash - 1) || '.' || quote
        END
    ) STORED,
    symbol_ok INTEGER AS (
        name <> '' AND name NOT GLOB '*[^!-~]*' AND NOT instr(CAST(name AS BLOB), x'00')
    ) STORED,

    body TEXT AS (substr(written, 1 + (written GLOB '-*'))) STORED,
    e INTEGER AS (instr(lower(body), 'e')) STORED,
    mantissa TEXT AS (iif(e, substr(body, 1, e - 1), body)) STORED,
    power TEXT AS (iif(e, substr(body, e + 1 + (substr(body, e + 1, 1) IN ('+', '-'))), '0')) STORED,
    plain TEXT AS (iif(e, printf('%.9f', CAST(written AS REAL)), written)) STORED,
    quantity_ok INTEGER AS (
        mantissa GLOB '[0-9]*' AND mantissa GLOB '*[0-9]'
        AND mantissa NOT GLOB '*[^0-9.]*' AND mantissa NOT GLOB '*.*.*'
        AND power <> '' AND power NOT GLOB '*[^0-9]*' AND plain NOT GLOB '*Inf'
        AND length(plain) <= 40 AND NOT instr(CAST(written AS BLOB), x'00')
    ) STORED,
    zero INTEGER AS (ltrim(plain, '-0.') = '') STORED,
    closed INTEGER AS (zero OR status = 'closed') STORED,
    quantity TEXT AS (iif(closed, '0', plain)) STORED,
    negative INTEGER AS (quantity GLOB '-*') STORED,
    amount TEXT AS (               -- the quantity without idle zeros: equal text is equal value
        CASE
            WHEN closed THEN '0'
            WHEN instr(quantity, '.') THEN substr('-', 1, negative) || rtrim(rtrim(ltrim(quantity, '-0'), '0'), '.')
            ELSE substr('-', 1, negative) || ltrim(quantity, '-0')
        END
    ) STORED,
    side TEXT AS (CASE WHEN closed THEN was_side WHEN negative THEN 'short' ELSE 'long' END) STORED,

    keeps_key INTEGER AS (was_symbol IS symbol AND was_strategy_id IS strategy_id) STORED,
    moved INTEGER AS (             -- the journal lacks what this statement did
        CASE
            WHEN was_version = 0 THEN NOT closed
            WHEN was_version > 0 THEN NOT keeps_key OR was_amount <> amount
        END
    ) STORED
) STRICT;

CREATE TRIGGER being_written_checked AFTER INSERT ON being_written
BEGIN
    SELECT CASE
        WHEN NEW.quantity_ok IS NOT 1
        THEN RAISE(ABORT, 'quantity is decimal text such as 10, -2.5 or 0.000000001, of at most 40 characters')
        WHEN NEW.symbol_ok IS NOT 1
        THEN RAISE(ABORT, 'symbol is text without blanks such as AAPL, BRK.B or BTCUSD')
        WHEN NEW.strategy_id IS NOT NULL AND (NEW.strategy_id NOT GLOB '*[!-~]*' OR NEW.strategy_id GLOB '*[^ -~]*'
            OR instr(CAST(NEW.strategy_id AS BLOB), x'00'))
        THEN RAISE(ABORT, 'strategy_id is printable ASCII text, or NULL for a position that no strategy owns')
    END;
END;

CREATE TRIGGER positions_deleted BEFORE DELETE ON positions
BEGIN
    SELECT RAISE(ABORT, 'positions are not deleted: UPDATE the row and SET quantity = ''0'', which closes it');
END;

-- Not "OF id": that misses SET rowid.
CREATE TRIGGER positions_renumbered BEFORE UPDATE ON positions WHEN NEW.id IS NOT OLD.id
BEGIN
    SELECT RAISE(ABORT, 'the id of a position never changes');
END;

-- An upsert that finds its row open ends here as far as INSERT goes, with values that UPDATE never sees as they are:
-- `quantity + '1,000'` is a number, and '' finds the row that no strategy owns.
CREATE TRIGGER positions_offered BEFORE INSERT ON positions
BEGIN
    INSERT INTO being_written (position_id, strategy_id, written_symbol, written, moved_at)
    VALUES (0, NEW.strategy_id, NEW.symbol, NEW.quantity, '');
    DELETE FROM being_written WHERE position_id = 0;
END;

CREATE TRIGGER positions_inserted AFTER INSERT ON positions
BEGIN
    SELECT CASE
        WHEN NEW.id <= (SELECT seq FROM sqlite_sequence WHERE name = 'positions')  -- as it was before this statement
        THEN RAISE(ABORT, 'this id has been given: leave id out to open a row, use UPDATE to change one')
        WHEN NEW.id NOT BETWEEN 1 AND 281474976710656  -- an AUTOINCREMENT that has reached the last number is full
        THEN RAISE(ABORT, 'leave id out: SQLite numbers the rows')
        WHEN NEW.account IS NULL OR NEW.account NOT IN (SELECT name FROM accounts)
        THEN RAISE(ABORT, 'unknown account: `SELECT name FROM accounts` lists them, config.toml defines them')
        WHEN NEW.asset_class NOT IN ('us_equity', 'us_option', 'crypto')
            AND NOT EXISTS (SELECT 1 FROM corrections WHERE position_id = NEW.id)
        THEN RAISE(ABORT, 'asset_class is us_equity, us_option or crypto: leave it out if in doubt')
        WHEN NEW.source = 'reconciliation' AND NOT EXISTS (SELECT 1 FROM corrections WHERE position_id = NEW.id)
        THEN RAISE(ABORT, 'source is platform (the default); reconciliation is for recond alone')
        WHEN NEW.opened_at IS NULL OR NEW.opened_at NOT GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9]*Z'
            OR julianday(NEW.opened_at) IS NULL
        THEN RAISE(ABORT, 'opened_at is UTC text such as 2026-01-02T03:04:05Z: leave it out for now')
    END;
    INSERT INTO open_rows (position_id, account, symbol, side, quantity, amount, version, moved_at)
    VALUES (NEW.id, NEW.account, '', iif(NEW.side = 'short', 'short', 'long'), '0', '0', 0, NEW.opened_at);
    UPDATE positions SET version = 0 WHERE id = NEW.id;
END;

CREATE TRIGGER positions_updated
AFTER UPDATE OF account, user_id, strategy_id, symbol, side, quantity, status, source, opened_at, closed_at, version,
    moved_at ON positions
WHEN NOT EXISTS (SELECT 1 FROM being_written WHERE position_id = NEW.id)
BEGIN
    INSERT INTO being_written (
        position_id, user_id, strategy_id, written_symbol, written, status, correction_id, moved_at,
        was_symbol, was_strategy_id, was_side, was_quantity, was_amount, was_version)
    SELECT
        NEW.id, a.user_id, NEW.strategy_id, NEW.symbol, NEW.quantity, NEW.status, c.id,
        coalesce(c.at, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
        o.symbol, o.strategy_id, o.side, o.quantity, o.amount, o.version
    FROM (SELECT NEW.id AS id, NEW.account AS account) AS n
        LEFT JOIN accounts AS a ON a.name = n.account
        LEFT JOIN open_rows AS o ON o.position_id = n.id
        LEFT JOIN corrections AS c ON c.position_id = n.id AND c.version = o.version + 1;

    SELECT CASE
        WHEN NEW.status IS NULL OR NEW.status NOT IN ('open', 'closed')
        THEN RAISE(ABORT, 'status is open or closed')
        WHEN NEW.source IS NULL OR NEW.source NOT IN ('platform', 'reconciliation')
            OR (NEW.source = 'reconciliation' AND OLD.source IS NOT 'reconciliation' AND w.correction_id IS NULL)
        THEN RAISE(ABORT, 'source is platform (the default); reconciliation is for recond alone')
        WHEN NEW.account IS NOT OLD.account OR NEW.opened_at IS NOT OLD.opened_at
        THEN RAISE(ABORT, 'account and opened_at of a position never change: close the row and INSERT another')
        WHEN w.was_version IS NULL AND (NOT w.zero
            OR (NEW.strategy_id, NEW.symbol, NEW.side, NEW.status, NEW.closed_at, NEW.version, NEW.moved_at)
            IS NOT (OLD.strategy_id, OLD.symbol, OLD.side, OLD.status, OLD.closed_at, OLD.version, OLD.moved_at))
        THEN RAISE(ABORT, 'this position is closed and stays as it is: INSERT a row to open another')
        WHEN w.was_version = 0 AND w.closed AND NOT w.zero
        THEN RAISE(ABORT, 'a closed position has quantity 0')
        WHEN w.was_version > 0 AND w.symbol <> w.was_symbol AND w.correction_id IS NULL
        THEN RAISE(ABORT, 'the symbol of a position does not change: close the row and INSERT another')
        WHEN (NOT w.closed OR w.was_version = 0) AND EXISTS (
            SELECT 1 FROM open_rows
            WHERE account = NEW.account AND symbol = w.symbol AND strategy_id IS NEW.strategy_id
                AND position_id <> NEW.id)
        THEN RAISE(ABORT, 'this account, symbol and strategy_id have an open row: UPDATE that, do not REPLACE it, and name the symbol as it does, without a slash: BTCUSD for BTC/USD, BRK.B for BRK/B')
    END
    FROM being_written AS w WHERE w.position_id = NEW.id;

    INSERT INTO changes (position_id, account, symbol, strategy_id, before, after, version, correction_id, at)
    SELECT
        NEW.id, NEW.account, was_symbol, was_strategy_id, was_quantity, iif(keeps_key, quantity, '0'),
        was_version + 1, correction_id, moved_at
    FROM being_written WHERE position_id = NEW.id AND moved AND was_version > 0;

    INSERT INTO changes (position_id, account, symbol, strategy_id, before, after, version, correction_id, at)
    SELECT NEW.id, NEW.account, symbol, NEW.strategy_id, '0', quantity, was_version + 1, correction_id, moved_at
    FROM being_written WHERE position_id = NEW.id AND moved AND NOT closed AND (was_version = 0 OR NOT keeps_key);

    UPDATE open_rows SET (symbol, strategy_id, side, quantity, amount, version, moved_at) = (
        SELECT symbol, NEW.strategy_id, side, quantity, amount, was_version + 1, moved_at
        FROM being_written WHERE position_id = NEW.id)
    WHERE position_id = NEW.id AND (SELECT moved FROM being_written WHERE position_id = NEW.id);

    UPDATE positions SET
        (symbol, quantity, user_id, side, status, closed_at, close_reason, version, moved_at) = (
            SELECT
                w.symbol, w.quantity, w.user_id, coalesce(w.side, NEW.side),
                iif(w.closed, 'closed', 'open'),
                iif(w.closed, coalesce(NEW.closed_at, w.moved_at), NULL),
                iif(w.closed, coalesce(NEW.close_reason, 'platform'), NEW.close_reason),
                coalesce(o.version, NEW.version),
                coalesce(o.moved_at, NEW.moved_at)
            FROM being_written AS w LEFT JOIN open_rows AS o ON o.position_id = w.position_id
            WHERE w.position_id = NEW.id)
    WHERE id = NEW.id;

    DELETE FROM open_rows
    WHERE position_id = NEW.id AND (SELECT closed FROM being_written WHERE position_id = NEW.id);

    DELETE FROM being_written WHERE position_id = NEW.id;
END;

CREATE TRIGGER open_rows_inserted BEFORE INSERT ON open_rows
WHEN NEW.version <> 0 OR EXISTS (SELECT 1 FROM open_rows WHERE position_id = NEW.position_id)
    OR NOT EXISTS (SELECT 1 FROM positions WHERE id = NEW.position_id)
BEGIN
    SELECT RAISE(ABORT, 'open_rows is written by the triggers of positions only');
END;

CREATE TRIGGER open_rows_updated BEFORE UPDATE ON open_rows
WHEN NOT EXISTS (SELECT 1 FROM being_written WHERE position_id = OLD.position_id)
BEGIN
    SELECT RAISE(ABORT, 'open_rows is written by the triggers of positions only');
END;

CREATE TRIGGER open_rows_deleted BEFORE DELETE ON open_rows
WHEN NOT EXISTS (SELECT 1 FROM being_written WHERE position_id = OLD.position_id)
BEGIN
    SELECT RAISE(ABORT, 'open_rows is written by the triggers of positions only');
END;

CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    user_id INTEGER NOT NULL,
    sequence INTEGER NOT NULL,       -- of the process that made it
    trigger TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT NOT NULL,
    duration_s REAL NOT NULL,
    status TEXT NOT NULL,            -- success | partial | failed
    broker_positions INTEGER,        -- NULL: could not be read
    db_positions INTEGER,
    synced INTEGER NOT NULL,
    added INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    conflicts INTEGER NOT NULL,      -- seen in this run, resolved by it or not
    holds INTEGER NOT NULL,          -- open after this run
    pending INTEGER NOT NULL,
    unknown INTEGER NOT NULL,        -- rows that could not be read
    total_value TEXT,
    error TEXT,
    hint TEXT
) STRICT;

CREATE INDEX runs_of_account ON runs (account);
CREATE INDEX runs_by_time ON runs (finished_at);

CREATE TABLE drifts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    account TEXT NOT NULL,
    symbol TEXT NOT NULL,
    asset_class TEXT NOT NULL,
    kind TEXT NOT NULL,              -- missing_in_ledger | missing_at_broker | quantity
    cause TEXT NOT NULL,
    broker_quantity TEXT NOT NULL,
    ledger_quantity TEXT NOT NULL,
    resolution TEXT NOT NULL,        -- use_broker | manual | use_db
    explanation TEXT NOT NULL
) STRICT;

CREATE INDEX drifts_of_run ON drifts (run_id);

CREATE TABLE conflicts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    symbol TEXT NOT NULL,
    asset_class TEXT NOT NULL,
    kind TEXT NOT NULL,
    cause TEXT NOT NULL,
    explanation TEXT NOT NULL,
    broker_quantity TEXT NOT NULL,
    ledger_quantity TEXT NOT NULL,
    broker_value TEXT,
    ledger_value TEXT,
    resolution TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    last_seen_at TEXT NOT NULL,
    sightings INTEGER NOT NULL,
    resolved_at TEXT,                -- NULL: open
    resolved_by TEXT,
    note TEXT
) STRICT;

CREATE UNIQUE INDEX conflicts_open ON conflicts (account, asset_class, symbol, kind) WHERE resolved_at IS NULL;

CREATE TRIGGER conflicts_deleted BEFORE DELETE ON conflicts WHEN OLD.resolved_at IS NULL
BEGIN
    SELECT RAISE(ABORT, 'an open conflict is not deleted: resolve it with `recond resolve`');
END;

CREATE TABLE holds (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    symbol TEXT NOT NULL,
    asset_class TEXT NOT NULL,
    reason TEXT NOT NULL,
    broker_quantity TEXT NOT NULL,
    ledger_quantity TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    ended_at TEXT,                   -- NULL: open
    ended_by TEXT
) STRICT;

CREATE UNIQUE INDEX holds_open ON holds (account, asset_class, symbol) WHERE ended_at IS NULL;

CREATE TRIGGER holds_deleted BEFORE DELETE ON holds WHEN OLD.ended_at IS NULL
BEGIN
    SELECT RAISE(ABORT, 'an open hold is not deleted: accept it with `recond accept`');
END;

-- Both sides of an instrument at its last settled verdict.
CREATE TABLE baselines (
    account TEXT NOT NULL,
    asset_class TEXT NOT NULL,
    symbol TEXT NOT NULL,
    broker_quantity TEXT NOT NULL,
    ledger_quantity TEXT NOT NULL,
    cost_basis TEXT,
    at TEXT NOT NULL,                -- the broker's time of the reading
    seq INTEGER NOT NULL DEFAULT 0,  -- the position in the journal by then
    PRIMARY KEY (account, asset_class, symbol)
) STRICT, WITHOUT ROWID;

-- Differences that an operator has accepted: broker minus ledger, silent while it is just that.
CREATE TABLE accepted (
    account TEXT NOT NULL,
    asset_class TEXT NOT NULL,
    symbol TEXT NOT NULL,
    difference TEXT NOT NULL,
    at TEXT NOT NULL,
    by TEXT NOT NULL,
    note TEXT,
    PRIMARY KEY (account, asset_class, symbol)
) STRICT, WITHOUT ROWID;

-- What operators have decided, each acted on by the pass that next judges the instrument, or refused by it.
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    symbol TEXT NOT NULL,
    asset_class TEXT NOT NULL,
    conflict_id INTEGER,
    hold_id INTEGER,
    resolution TEXT NOT NULL,        -- use_broker | use_db
    broker_quantity TEXT NOT NULL,   -- as the operator saw them
    ledger_quantity TEXT NOT NULL,
    names_row INTEGER NOT NULL,      -- whether strategy_id is meant
    strategy_id TEXT,
    by TEXT NOT NULL,
    note TEXT,
    at TEXT NOT NULL,
    ended_at TEXT,                   -- NULL: nothing has come of it yet
    outcome TEXT
) STRICT;

CREATE INDEX decisions_of_conflict ON decisions (conflict_id);
CREATE INDEX decisions_of_hold ON decisions (hold_id);
CREATE UNIQUE INDEX decisions_open ON decisions (account, asset_class, symbol) WHERE ended_at IS NULL;

CREATE TABLE activities (
    account TEXT NOT NULL,
    id TEXT NOT NULL,                -- Alpaca's
    type TEXT NOT NULL,
    sub_type TEXT,
    symbol TEXT,
    quantity TEXT,
    price TEXT,
    at TEXT,
    order_id TEXT,
    side TEXT,
    cum_qty TEXT,
    group_id TEXT,
    net_amount TEXT,
    status TEXT,
    explains INTEGER,                -- the correction that this activity explains
    accepted_in INTEGER,             -- the run in which an operator let the ledger stand without it
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX activities_by_time ON activities (account, at);
CREATE INDEX activities_explaining ON activities (explains) WHERE explains IS NOT NULL;
CREATE INDEX activities_accepted ON activities (account) WHERE accepted_in IS NOT NULL;

-- Fills known from the stream or the activities, each once. `covered_by` is the correction whose quantity has it.
CREATE TABLE executions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    execution_id TEXT,               -- NULL: known from the activities only
    order_id TEXT NOT NULL,
    cum_qty TEXT,
    symbol TEXT NOT NULL,
    strategy_id TEXT,
    quantity TEXT NOT NULL,          -- signed
    price TEXT,
    position_qty TEXT,
    at TEXT NOT NULL,                -- the broker's time
    client_order_id TEXT,            -- NULL: not known
    previous_id TEXT,                -- the execution that this bust or correction is about
    covered_by INTEGER,
    accepted_in INTEGER              -- the run in which an operator let the ledger stand without it
) STRICT;

CREATE UNIQUE INDEX executions_once ON executions (account, order_id, symbol, coalesce(cum_qty, execution_id, ''));
CREATE INDEX executions_by_time ON executions (account, at);
CREATE INDEX executions_by_symbol ON executions (account, symbol, at);
CREATE INDEX executions_covered ON executions (covered_by) WHERE covered_by IS NOT NULL;
