-- What was captured, and what was issued for it.

-- +goose Up

-- Every capture that was ever reported is here, also those that bought nothing:
-- they wait, as refund_due, for their money to be paid back.
CREATE TABLE payments (
    event       text COLLATE "C" NOT NULL,
    order_id    text COLLATE "C" NOT NULL,
    reference   text COLLATE "C" NOT NULL, -- the provider's id of the charge
    state       text        NOT NULL CHECK (state IN ('settled', 'refund_due', 'refunded')),
    reason      text        NOT NULL DEFAULT '', -- why a refund is due
    amount      bigint      NOT NULL,
    currency    text        NOT NULL,
    captured_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (event, order_id, reference)
);
CREATE UNIQUE INDEX payments_one_settles ON payments (order_id) WHERE state = 'settled';
CREATE TRIGGER payments_are_kept BEFORE DELETE OR TRUNCATE ON payments
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();

-- A ticket's id is its order's with its number.
CREATE TABLE tickets (
    event     text COLLATE "C" NOT NULL,
    order_id  text COLLATE "C" NOT NULL,
    number    integer     NOT NULL CHECK (number >= 1),
    section   text COLLATE "C" NOT NULL,
    seat      text COLLATE "C" NOT NULL, -- '' in a general section
    code      text        NOT NULL,
    issued_at timestamptz NOT NULL,
    PRIMARY KEY (event, order_id, number)
);

-- +goose Down
DROP TABLE tickets;
DROP TABLE payments;
