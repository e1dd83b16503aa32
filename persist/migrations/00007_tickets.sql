-- Tickets that are used and change hands. What holds, whoever writes:
--
--   a ticket is void for good, and moves as ticket_transitions says
--   its serial rises by one with each new code, and only then may its owner change
--   it is admitted once, while it is valid, and there is exactly one check-in of it
--   every change of state, owner or code is in ticket_history, which nobody can rewrite
--   at most one offer of it is open
--
-- Codes are not kept: they are derived from a ticket and its serial, so that a row
-- and its code can't disagree.

-- +goose Up
ALTER TABLE tickets
    DROP COLUMN code,
    ADD COLUMN owner text COLLATE "C", -- a buyer: the order's, until it is transferred
    ADD COLUMN state text NOT NULL DEFAULT 'valid' CHECK (state IN ('valid', 'blocked', 'void')),
    ADD COLUMN serial integer NOT NULL DEFAULT 1 CHECK (serial >= 1),
    ADD COLUMN admitted_at timestamptz;
UPDATE tickets t SET owner = o.buyer FROM orders o WHERE o.id = t.order_id;
ALTER TABLE tickets ALTER COLUMN owner SET NOT NULL, SET (fillfactor = 85); -- room to admit in place
CREATE INDEX tickets_of_owner ON tickets (owner, issued_at);
CREATE INDEX tickets_with_void_codes ON tickets (event, order_id, number) WHERE state <> 'valid' OR serial > 1;

CREATE TABLE ticket_transitions (
    from_state text NOT NULL,
    to_state   text NOT NULL,
    PRIMARY KEY (from_state, to_state)
);
-- The same as onsale.TicketState.CanBecome; a test holds the two equal.
INSERT INTO ticket_transitions (from_state, to_state) VALUES
    ('valid', 'blocked'), ('valid', 'void'), ('blocked', 'valid'), ('blocked', 'void');

CREATE TABLE ticket_history (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event    text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    number   integer     NOT NULL,
    state    text        NOT NULL, -- this and the next two as they became
    owner    text COLLATE "C" NOT NULL,
    serial   integer     NOT NULL,
    at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ticket_history_of_ticket ON ticket_history (event, order_id, number, seq);

CREATE TABLE checkins (
    event    text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    number   integer     NOT NULL,
    serial   integer     NOT NULL, -- of the code that was shown
    gate     text COLLATE "C" NOT NULL CHECK (gate <> ''),
    key      text COLLATE "C" NOT NULL, -- the scan's Idempotency-Key, '' if it had none
    at       timestamptz NOT NULL,
    PRIMARY KEY (event, order_id, number) -- single use, whatever the code above does
);
CREATE UNIQUE INDEX checkins_one_per_key ON checkins (event, gate, key) WHERE key <> '';

CREATE TABLE transfers (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32), -- SHA-256; the token itself is not kept
    event      text COLLATE "C" NOT NULL,
    order_id   text COLLATE "C" NOT NULL,
    number     integer     NOT NULL,
    serial     integer     NOT NULL, -- of the code that accepting makes void
    state      text        NOT NULL CHECK (state IN ('offered', 'accepted', 'cancelled')),
    from_owner text COLLATE "C" NOT NULL,
    to_owner   text COLLATE "C",
    offered_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > offered_at),
    ended_at   timestamptz CHECK ((ended_at IS NULL) = (state = 'offered')),
    CHECK ((to_owner IS NULL) = (state <> 'accepted'))
);
CREATE UNIQUE INDEX transfers_one_open ON transfers (event, order_id, number) WHERE state = 'offered';
CREATE UNIQUE INDEX transfers_one_per_code ON transfers (event, order_id, number, serial) WHERE state = 'accepted';
CREATE INDEX transfers_of_ticket ON transfers (event, order_id, number);

-- +goose StatementBegin
CREATE FUNCTION ticket_moved() RETURNS trigger LANGUAGE plpgsql SET enable_nestloop = off AS $$
DECLARE culprit record;
BEGIN
    SELECT o.order_id, o.number, o.state AS was, n.state INTO culprit
    FROM was o LEFT JOIN moved n ON n.event = o.event AND n.order_id = o.order_id AND n.number = o.number
    WHERE n.event IS NULL
       OR (o.section, o.seat) IS DISTINCT FROM (n.section, n.seat)
       OR (o.state <> n.state
           AND NOT EXISTS (SELECT FROM ticket_transitions t WHERE t.from_state = o.state AND t.to_state = n.state))
       OR (o.serial <> n.serial
           AND NOT (n.serial = o.serial + 1 AND o.state = 'valid' AND n.state = 'valid' AND n.admitted_at IS NULL))
       OR ((o.owner, o.issued_at) IS DISTINCT FROM (n.owner, n.issued_at) AND n.serial = o.serial)
       OR (o.admitted_at IS DISTINCT FROM n.admitted_at
           AND NOT (o.admitted_at IS NULL AND o.state = 'valid' AND n.state = 'valid' AND n.serial = o.serial
                    AND EXISTS (SELECT FROM checkins c WHERE c.event = n.event AND c.order_id = n.order_id
                                AND c.number = n.number AND c.serial = n.serial AND c.at = n.admitted_at)))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ticket % of % can not become % from %, or change so', culprit.number, culprit.order_id, culprit.state, culprit.was
            USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO ticket_history (event, order_id, number, state, owner, serial)
    SELECT n.event, n.order_id, n.number, n.state, n.owner, n.serial
    FROM was o JOIN moved n ON n.event = o.event AND n.order_id = o.order_id AND n.number = o.number
    WHERE (o.state, o.owner, o.serial) IS DISTINCT FROM (n.state, n.owner, n.serial);
    RETURN NULL;
END $$;

-- A check-in is made in the statement that admits its ticket: this sees both, at its end.
CREATE FUNCTION checkin_born() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM tickets t WHERE t.event = NEW.event AND t.order_id = NEW.order_id AND t.number = NEW.number
                   AND t.serial = NEW.serial AND t.admitted_at = NEW.at) THEN
        RAISE EXCEPTION 'ticket % of % is not admitted', NEW.number, NEW.order_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION guard_transfer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'offered' OR (NEW.token_hash, NEW.event, NEW.order_id, NEW.number, NEW.serial, NEW.from_owner, NEW.offered_at, NEW.expires_at)
        IS DISTINCT FROM (OLD.token_hash, OLD.event, OLD.order_id, OLD.number, OLD.serial, OLD.from_owner, OLD.offered_at, OLD.expires_at) THEN
        RAISE EXCEPTION 'an offer of ticket % of % can only end, once', OLD.number, OLD.order_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd

CREATE TRIGGER ticket_moved AFTER UPDATE ON tickets REFERENCING OLD TABLE AS was NEW TABLE AS moved
    FOR EACH STATEMENT EXECUTE FUNCTION ticket_moved();
CREATE TRIGGER tickets_are_kept BEFORE DELETE OR TRUNCATE ON tickets
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
CREATE TRIGGER ticket_history_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON ticket_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
CREATE TRIGGER checkin_born AFTER INSERT ON checkins FOR EACH ROW EXECUTE FUNCTION checkin_born();
CREATE TRIGGER checkins_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON checkins
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
CREATE TRIGGER guard_transfer BEFORE UPDATE ON transfers FOR EACH ROW EXECUTE FUNCTION guard_transfer();
CREATE TRIGGER transfers_are_kept BEFORE DELETE OR TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();

-- +goose Down
DROP TABLE transfers;
DROP TABLE checkins;
DROP TABLE ticket_history;
DROP TRIGGER ticket_moved ON tickets;
DROP TRIGGER tickets_are_kept ON tickets;
DROP TABLE ticket_transitions;
DROP FUNCTION ticket_moved, checkin_born, guard_transfer;
DROP INDEX tickets_of_owner;
ALTER TABLE tickets
    DROP COLUMN owner,
    DROP COLUMN state,
    DROP COLUMN serial,
    DROP COLUMN admitted_at,
    ADD COLUMN code text NOT NULL DEFAULT ''; -- codes are not kept, so there are none to put back
