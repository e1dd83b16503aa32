-- Paying back, and payments that come late.

-- +goose Up

-- A payment that was captured after its order was declined claims what it was for again.
INSERT INTO order_transitions (from_state, to_state) VALUES ('declined', 'claimed');

-- What is or will be paid back of a payment. The check is what makes it impossible to pay
-- back more than was captured, whatever the code above it does.
ALTER TABLE payments ADD COLUMN paying_back bigint NOT NULL DEFAULT 0;
ALTER TABLE payments ADD CONSTRAINT payments_never_overpaid_back CHECK (paying_back BETWEEN 0 AND amount);

CREATE TABLE refunds (
    id        text COLLATE "C" PRIMARY KEY CHECK (id LIKE 'ref\_%'), -- the provider's idempotency key
    event     text COLLATE "C" NOT NULL,
    order_id  text COLLATE "C" NOT NULL,
    payment   text COLLATE "C" NOT NULL, -- the reference of the charge that it is of
    asked_by  text        NOT NULL CHECK (asked_by IN ('operator', 'settlement')),
    key       text COLLATE "C" NOT NULL DEFAULT '', -- the operator's Idempotency-Key
    asked     jsonb       NOT NULL, -- what was asked for under it
    tickets   integer[]   NOT NULL, -- the numbers of the admissions that it ends
    amount    bigint      NOT NULL CHECK (amount >= 0), -- minor units
    currency  text        NOT NULL,
    reason    text        NOT NULL,
    state     text        NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'made', 'refused')),
    reference text        NOT NULL DEFAULT '', -- the provider's id of it
    refusal   text        NOT NULL DEFAULT '', -- why the provider refuses
    attempts  integer     NOT NULL DEFAULT 0,
    next_at   timestamptz NOT NULL, -- when a worker may take it again
    asked_at  timestamptz NOT NULL,
    ended_at  timestamptz,
    told_at   timestamptz, -- when its news was in Kafka and its hold settled
    FOREIGN KEY (event, order_id, payment) REFERENCES payments (event, order_id, reference),
    CHECK ((state = 'due') = (ended_at IS NULL)),
    CHECK (told_at IS NULL OR state <> 'due'),
    CHECK ((asked_by = 'operator') = (key <> ''))
);

-- One at a time of a payment: what the next one may take is only known when this one has ended.
CREATE UNIQUE INDEX refunds_one_due ON refunds (event, order_id, payment) WHERE state = 'due';
CREATE UNIQUE INDEX refunds_one_of_a_stray ON refunds (event, order_id, payment) WHERE asked_by = 'settlement';
CREATE UNIQUE INDEX refunds_one_a_key ON refunds (order_id, key) WHERE key <> '';
CREATE INDEX refunds_of_order ON refunds (event, order_id, asked_at);
CREATE INDEX refunds_to_do ON refunds (next_at) WHERE told_at IS NULL;
CREATE INDEX refunds_refused ON refunds (ended_at) WHERE state = 'refused';

-- How often the charge of an order that stayed claimed was asked for again.
CREATE TABLE charge_reminders (
    order_id text COLLATE "C" PRIMARY KEY,
    times    integer     NOT NULL CHECK (times > 0),
    next_at  timestamptz NOT NULL
);

-- +goose StatementBegin
CREATE FUNCTION refund_counted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE change bigint;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'due' THEN
            RAISE EXCEPTION 'refund % must begin as due', NEW.id USING ERRCODE = 'check_violation';
        END IF;
        change := NEW.amount;
    ELSIF (OLD.id, OLD.event, OLD.order_id, OLD.payment, OLD.tickets, OLD.amount, OLD.currency, OLD.asked_by, OLD.key)
          IS DISTINCT FROM (NEW.id, NEW.event, NEW.order_id, NEW.payment, NEW.tickets, NEW.amount, NEW.currency, NEW.asked_by, NEW.key)
          OR OLD.state <> 'due' AND OLD.state <> NEW.state THEN
        RAISE EXCEPTION 'refund % can not become % from %, or its terms were changed', OLD.id, NEW.state, OLD.state USING ERRCODE = 'check_violation';
    ELSIF OLD.state = 'due' AND NEW.state = 'refused' THEN
        change := -OLD.amount;
    END IF;
    IF change <> 0 THEN
        UPDATE payments SET paying_back = paying_back + change
        WHERE event = NEW.event AND order_id = NEW.order_id AND reference = NEW.payment;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER refund_counted AFTER INSERT OR UPDATE ON refunds FOR EACH ROW EXECUTE FUNCTION refund_counted();
CREATE TRIGGER refunds_are_kept BEFORE DELETE OR TRUNCATE ON refunds FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();

-- Captures that bought nothing before anybody paid them back.
INSERT INTO refunds (id, event, order_id, payment, asked_by, asked, tickets, amount, currency, reason, next_at, asked_at)
SELECT 'ref_' || left(md5(gen_random_uuid()::text), 26), event, order_id, reference, 'settlement', '{}', '{}', amount, currency, reason, now(), now()
FROM payments WHERE state = 'refund_due';

-- +goose Down
DROP TABLE refunds, charge_reminders;
DROP FUNCTION refund_counted;
ALTER TABLE payments DROP COLUMN paying_back;
DELETE FROM order_transitions WHERE from_state = 'declined' AND to_state = 'claimed';
