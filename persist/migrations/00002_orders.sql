-- Orders, the transitions they may make, and their history, which nobody can
-- rewrite. An order's hold has no column: its id is the order's under another
-- prefix, so "one order per hold" is the primary key.

-- +goose Up
CREATE TABLE order_transitions (
    from_state text NOT NULL,
    to_state   text NOT NULL,
    PRIMARY KEY (from_state, to_state)
);
-- The same as onsale.OrderState.CanBecome; a test holds the two equal.
INSERT INTO order_transitions (from_state, to_state) VALUES
    ('accepted', 'claimed'), ('accepted', 'rejected'),
    ('claimed', 'paid'), ('claimed', 'declined'),
    ('paid', 'ticketed'), ('paid', 'refunded'),
    ('ticketed', 'refunded');

-- event doesn't refer to events: a purchase of an unknown event is recorded too,
-- as rejected, so that it has an end that can be read.
CREATE TABLE orders (
    id            text COLLATE "C" PRIMARY KEY CHECK (id LIKE 'ord\_%'),
    event         text COLLATE "C" NOT NULL,
    buyer         text COLLATE "C" NOT NULL,
    state         text        NOT NULL,
    reason        text        NOT NULL DEFAULT '', -- why it was rejected or declined
    lines         jsonb       NOT NULL,
    amount        bigint      NOT NULL, -- minor units
    currency      text        NOT NULL,
    payment_token text        NOT NULL, -- the provider's, never a card
    accepted_at   timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL
) WITH (fillfactor = 70); -- room for the later states on the same page

CREATE INDEX orders_of_event ON orders (event);
CREATE INDEX orders_of_buyer ON orders (buyer, accepted_at DESC, id DESC);

CREATE TABLE order_history (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id   text COLLATE "C" NOT NULL,
    from_state text        NOT NULL,
    to_state   text        NOT NULL,
    reason     text        NOT NULL,
    at         timestamptz NOT NULL
);
CREATE INDEX order_history_of_order ON order_history (order_id, seq);

-- The triggers see whole statements, not rows: settlement moves a thousand
-- orders at once. They never plan a nested loop, because the plan is kept from
-- the first call, which may have seen one row.

-- +goose StatementBegin
CREATE FUNCTION order_born() RETURNS trigger LANGUAGE plpgsql SET enable_nestloop = off AS $$
DECLARE culprit record;
BEGIN
    SELECT b.id, b.state INTO culprit FROM born b
    WHERE NOT EXISTS (SELECT FROM order_transitions t WHERE t.from_state = 'accepted' AND t.to_state = b.state) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'order % can not become % from accepted', culprit.id, culprit.state USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO order_history (order_id, from_state, to_state, reason, at)
    SELECT id, 'accepted', state, reason, updated_at FROM born;
    RETURN NULL;
END $$;

CREATE FUNCTION order_moved() RETURNS trigger LANGUAGE plpgsql SET enable_nestloop = off AS $$
DECLARE culprit record;
BEGIN
    SELECT o.id, o.state AS was, n.state INTO culprit FROM was o LEFT JOIN moved n ON n.id = o.id
    WHERE n.id IS NULL
       OR (o.event, o.buyer, o.lines, o.amount, o.currency, o.accepted_at)
          IS DISTINCT FROM (n.event, n.buyer, n.lines, n.amount, n.currency, n.accepted_at)
       OR NOT EXISTS (SELECT FROM order_transitions t WHERE t.from_state = o.state AND t.to_state = n.state) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'order % can not become % from %, or its terms were changed', culprit.id, culprit.state, culprit.was
            USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO order_history (order_id, from_state, to_state, reason, at)
    SELECT n.id, o.state, n.state, n.reason, n.updated_at FROM was o JOIN moved n ON n.id = o.id;
    RETURN NULL;
END $$;

CREATE FUNCTION refuse_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: it is kept for good', TG_OP, TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
-- +goose StatementEnd

CREATE TRIGGER order_born AFTER INSERT ON orders REFERENCING NEW TABLE AS born
    FOR EACH STATEMENT EXECUTE FUNCTION order_born();
CREATE TRIGGER order_moved AFTER UPDATE ON orders REFERENCING OLD TABLE AS was NEW TABLE AS moved
    FOR EACH STATEMENT EXECUTE FUNCTION order_moved();
CREATE TRIGGER orders_are_kept BEFORE DELETE OR TRUNCATE ON orders
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
CREATE TRIGGER history_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON order_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();

-- +goose Down
DROP TABLE order_history;
DROP TABLE orders;
DROP TABLE order_transitions;
DROP FUNCTION order_born, order_moved, refuse_rewrite;
