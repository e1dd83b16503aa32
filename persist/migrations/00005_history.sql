-- The history of orders says who moved them, and is kept by the month: what is old
-- can be looked for, and one day put away, without touching what is new. And what
-- the tables before this one should have refused.

-- +goose Up

-- Whoever moves an order may say who it is, for its transaction alone: set_config('onsale.actor', …, true). Who says
-- nothing is settlement; of a transaction that said something the connection keeps an empty setting.
CREATE FUNCTION order_actor() RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT coalesce(nullif(current_setting('onsale.actor', true), ''), 'settlement') $$;

ALTER TABLE order_history RENAME TO order_history_before;
ALTER INDEX order_history_of_order RENAME TO order_history_before_of_order;
-- A sequence, since partitions share no identity column before Postgres 17.
CREATE SEQUENCE order_history_number;
CREATE TABLE order_history (
    seq        bigint      NOT NULL DEFAULT nextval('order_history_number'),
    order_id   text COLLATE "C" NOT NULL,
    from_state text        NOT NULL,
    to_state   text        NOT NULL,
    reason     text        NOT NULL,
    actor      text        NOT NULL DEFAULT order_actor() CHECK (actor <> ''), -- the triggers leave it out
    at         timestamptz NOT NULL
) PARTITION BY RANGE (at);
ALTER SEQUENCE order_history_number OWNED BY order_history.seq;
CREATE INDEX order_history_of_order ON order_history (order_id, seq);

CREATE TRIGGER history_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON order_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();

-- What no month has been made for goes here, so that no order ever waits for one.
-- A statement that names a partition doesn't meet the triggers of the whole: each has its own.
CREATE TABLE order_history_default PARTITION OF order_history DEFAULT;
CREATE TRIGGER history_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON order_history_default
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();

-- +goose StatementBegin

-- make_history_month makes the partition of a month that begins at the given date, in UTC, and returns false if it
-- is there. It is made beside the table and then attached: to create it in place would wait for everybody who reads
-- the table, and have everybody else wait behind it. What the default partition has of the month moves there.
CREATE FUNCTION make_history_month(month date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    name  text := 'order_history_' || to_char(month, 'YYYY_MM');
    first timestamptz := month::timestamp AT TIME ZONE 'UTC';
    next  timestamptz := (month + interval '1 month')::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF month <> date_trunc('month', month::timestamp)::date THEN
        RAISE EXCEPTION '% is not the first of a month', month USING ERRCODE = 'check_violation';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('onsale.order_history'));
    IF EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'order_history'::regclass AND inhrelid = to_regclass(name)) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE order_history INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)', name);
    IF EXISTS (SELECT FROM order_history_default WHERE at >= first AND at < next) THEN
        LOCK TABLE order_history_default IN ACCESS EXCLUSIVE MODE;
        ALTER TABLE order_history_default DISABLE TRIGGER history_is_kept;
        EXECUTE format('WITH moved AS (DELETE FROM order_history_default WHERE at >= $1 AND at < $2 RETURNING *)
            INSERT INTO %I SELECT * FROM moved', name) USING first, next;
        ALTER TABLE order_history_default ENABLE TRIGGER history_is_kept;
    END IF;
    EXECUTE format('ALTER TABLE order_history ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, first, next);
    EXECUTE format('CREATE TRIGGER history_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite()', name);
    RETURN true;
END $$;

-- make_history_months makes the partitions from the month of a moment to so many months ahead of now, and returns
-- how many were missing.
CREATE FUNCTION make_history_months(since timestamptz, ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    month date := date_trunc('month', since AT TIME ZONE 'UTC')::date;
    made  integer := 0;
BEGIN
    WHILE month <= date_trunc('month', now() AT TIME ZONE 'UTC') + ahead * interval '1 month' LOOP
        made := made + make_history_month(month)::integer;
        month := (month + interval '1 month')::date;
    END LOOP;
    RETURN made;
END $$;
-- +goose StatementEnd

SELECT make_history_months(coalesce((SELECT min(at) FROM order_history_before), now()), 2);
INSERT INTO order_history (seq, order_id, from_state, to_state, reason, actor, at)
SELECT seq, order_id, from_state, to_state, reason, 'settlement', at FROM order_history_before;
SELECT setval('order_history_number', greatest(1, (SELECT max(seq) FROM order_history_before)), EXISTS (SELECT FROM order_history_before));
DROP TABLE order_history_before;

-- An order's id names its event, and so does whatever belongs to it: a row can't be one event's and its order another's.
ALTER TABLE orders
    ADD CONSTRAINT orders_of_their_event CHECK (left(id, length(event) + 5) = 'ord_' || event || '_'),
    ADD CONSTRAINT orders_cost_something CHECK (amount >= 0),
    ADD CONSTRAINT orders_have_a_currency CHECK (currency <> '');
ALTER TABLE claims
    ADD CONSTRAINT claims_of_their_event CHECK (left(order_id, length(event) + 5) = 'ord_' || event || '_');
ALTER TABLE payments
    ADD CONSTRAINT payments_of_their_event CHECK (left(order_id, length(event) + 5) = 'ord_' || event || '_'),
    ADD CONSTRAINT payments_have_a_reference CHECK (reference <> ''),
    ADD CONSTRAINT payments_take_something CHECK (amount >= 0);
ALTER TABLE tickets
    ADD CONSTRAINT tickets_of_their_event CHECK (left(order_id, length(event) + 5) = 'ord_' || event || '_');

-- +goose Down
ALTER TABLE tickets DROP CONSTRAINT tickets_of_their_event;
ALTER TABLE payments DROP CONSTRAINT payments_of_their_event, DROP CONSTRAINT payments_have_a_reference, DROP CONSTRAINT payments_take_something;
ALTER TABLE claims DROP CONSTRAINT claims_of_their_event;
ALTER TABLE orders DROP CONSTRAINT orders_of_their_event, DROP CONSTRAINT orders_cost_something, DROP CONSTRAINT orders_have_a_currency;
ALTER TABLE order_history RENAME TO order_history_after;
ALTER INDEX order_history_of_order RENAME TO order_history_after_of_order;
CREATE TABLE order_history (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id   text COLLATE "C" NOT NULL,
    from_state text        NOT NULL,
    to_state   text        NOT NULL,
    reason     text        NOT NULL,
    at         timestamptz NOT NULL
);
CREATE INDEX order_history_of_order ON order_history (order_id, seq);
INSERT INTO order_history (order_id, from_state, to_state, reason, at)
SELECT order_id, from_state, to_state, reason, at FROM order_history_after ORDER BY seq;
CREATE TRIGGER history_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON order_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
DROP TABLE order_history_after;
DROP FUNCTION make_history_months, make_history_month, order_actor;
