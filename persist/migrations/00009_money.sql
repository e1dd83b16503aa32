-- What no code does to money and to what was sold for it is refused; and a refund that was
-- made may fail later. What holds from here on, whoever writes:
--
--   a payment's terms never change; what is paid back of it is what its refunds say, and
--   it is refunded when that is all of it
--   a refund's terms never change, nor how it ended, but that what was made may fail
--   a claim never grows or moves, and a section keeps its capacity

-- +goose Up

-- A refund fails after it was made when the bank sends the money back. It is no longer
-- paid back then; whatever it ended stays ended.
ALTER TABLE refunds
    DROP CONSTRAINT refunds_state_check,
    ADD CONSTRAINT refunds_state_check CHECK (state IN ('due', 'made', 'refused', 'failed'));
CREATE INDEX refunds_failed ON refunds (event, ended_at) WHERE state = 'failed';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION refund_counted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE change bigint := 0;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'due' THEN
            RAISE EXCEPTION 'refund % must begin as due', NEW.id USING ERRCODE = 'check_violation';
        END IF;
        change := NEW.amount;
    ELSIF (OLD.id, OLD.event, OLD.order_id, OLD.payment, OLD.tickets, OLD.amount, OLD.currency, OLD.asked_by, OLD.key, OLD.asked, OLD.reason, OLD.asked_at)
          IS DISTINCT FROM (NEW.id, NEW.event, NEW.order_id, NEW.payment, NEW.tickets, NEW.amount, NEW.currency, NEW.asked_by, NEW.key, NEW.asked, NEW.reason, NEW.asked_at)
          OR OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (('due', 'made'), ('due', 'refused'), ('made', 'failed'))
          OR OLD.state = NEW.state AND (OLD.reference, OLD.refusal, OLD.ended_at) IS DISTINCT FROM (NEW.reference, NEW.refusal, NEW.ended_at)
          OR OLD.told_at IS NOT NULL AND OLD.told_at IS DISTINCT FROM NEW.told_at THEN
        RAISE EXCEPTION 'refund % can not become % from %, or its terms were changed', OLD.id, NEW.state, OLD.state USING ERRCODE = 'check_violation';
    ELSIF OLD.state <> NEW.state AND NEW.state IN ('refused', 'failed') THEN
        change := -OLD.amount;
    END IF;
    IF change <> 0 THEN
        -- What is not all paid back is not refunded: it is what it was.
        UPDATE payments SET paying_back = paying_back + change,
            state = CASE WHEN state <> 'refunded' THEN state WHEN reason = '' THEN 'settled' ELSE 'refund_due' END
        WHERE event = NEW.event AND order_id = NEW.order_id AND reference = NEW.payment;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION guard_payment() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE by_refund boolean := pg_trigger_depth() > 1; -- refund_counted, and nothing else, writes from a trigger
BEGIN
    IF (OLD.event, OLD.order_id, OLD.reference, OLD.reason, OLD.amount, OLD.currency, OLD.captured_at, OLD.recorded_at)
       IS DISTINCT FROM (NEW.event, NEW.order_id, NEW.reference, NEW.reason, NEW.amount, NEW.currency, NEW.captured_at, NEW.recorded_at) THEN
        RAISE EXCEPTION 'payment % of % can not be changed', OLD.reference, OLD.order_id USING ERRCODE = 'check_violation';
    ELSIF OLD.paying_back <> NEW.paying_back AND NOT by_refund THEN
        RAISE EXCEPTION 'what is paid back of payment % is what its refunds say', OLD.reference USING ERRCODE = 'check_violation';
    ELSIF OLD.state <> NEW.state AND NOT (NEW.state = 'refunded' OR OLD.state = 'refunded' AND by_refund) THEN
        RAISE EXCEPTION 'payment % can not become % from %', OLD.reference, NEW.state, OLD.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'no % on % does this', TG_OP, TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
-- +goose StatementEnd

ALTER TABLE payments
    ADD CONSTRAINT payments_refunded_when_all_is_paid_back CHECK (state <> 'refunded' OR paying_back = amount),
    ADD CONSTRAINT payments_with_a_reason_bought_nothing CHECK (state = 'refunded' OR (state = 'settled') = (reason = ''));
CREATE TRIGGER guard_payment BEFORE UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION guard_payment();
-- These look at rows on the busiest paths: WHEN costs no call.
CREATE TRIGGER payments_begin_with_nothing_paid_back BEFORE INSERT ON payments FOR EACH ROW
    WHEN (NEW.paying_back <> 0 OR NEW.state = 'refunded') EXECUTE FUNCTION refuse_change();
CREATE TRIGGER claims_only_shrink BEFORE UPDATE ON claims FOR EACH ROW
    WHEN ((OLD.event, OLD.order_id, OLD.section, OLD.seat) IS DISTINCT FROM (NEW.event, NEW.order_id, NEW.section, NEW.seat) OR NEW.quantity >= OLD.quantity)
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER sections_keep_their_capacity BEFORE UPDATE ON sections FOR EACH ROW
    WHEN ((OLD.event, OLD.section, OLD.capacity) IS DISTINCT FROM (NEW.event, NEW.section, NEW.capacity)) EXECUTE FUNCTION refuse_change();

-- next_at is when a worker may take a refund: to bring it to its end and tell of it; and, once it was made, to see
-- whether it still stands. 'infinity' is never.
UPDATE refunds SET next_at = CASE WHEN state = 'made' AND amount > 0 AND ended_at > now() - interval '32 days'
    THEN greatest(now(), ended_at + interval '1 day') ELSE 'infinity' END WHERE told_at IS NOT NULL;
DROP INDEX refunds_to_do;
CREATE INDEX refunds_to_do ON refunds (next_at) WHERE next_at < 'infinity';
ALTER TABLE refunds ADD CONSTRAINT refunds_are_taken_until_told CHECK (told_at IS NOT NULL OR next_at < 'infinity');

-- +goose Down
ALTER TABLE refunds DROP CONSTRAINT refunds_are_taken_until_told;
DROP INDEX refunds_to_do;
CREATE INDEX refunds_to_do ON refunds (next_at) WHERE told_at IS NULL;
DROP TRIGGER guard_payment ON payments;
DROP TRIGGER payments_begin_with_nothing_paid_back ON payments;
DROP TRIGGER claims_only_shrink ON claims;
DROP TRIGGER sections_keep_their_capacity ON sections;
DROP FUNCTION guard_payment, refuse_change;
ALTER TABLE payments DROP CONSTRAINT payments_refunded_when_all_is_paid_back, DROP CONSTRAINT payments_with_a_reason_bought_nothing;
DROP INDEX refunds_failed;
ALTER TABLE refunds DISABLE TRIGGER refund_counted;
UPDATE refunds SET state = 'refused' WHERE state = 'failed'; -- the nearest that there was
ALTER TABLE refunds ENABLE TRIGGER refund_counted;
ALTER TABLE refunds
    DROP CONSTRAINT refunds_state_check,
    ADD CONSTRAINT refunds_state_check CHECK (state IN ('due', 'made', 'refused'));

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION refund_counted() RETURNS trigger LANGUAGE plpgsql AS $$
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
