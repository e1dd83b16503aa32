-- Telling of orders by e-mail and webhook: who is told, and what is still to be told.

-- +goose Up

-- Where buyers want to be told. The only table with personal data: whoever is erased here
-- is erased. A delivery has no address of its own; it is looked up when it is sent.
CREATE TABLE contacts (
    buyer      text COLLATE "C" PRIMARY KEY CHECK (buyer LIKE 'buy\_%'),
    email      text        NOT NULL CHECK (length(email) <= 254 AND email ~ '^[!-?A-~]+@[!-?A-~]+$'),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Webhooks have no secret here: it is derived from the installation's, the id and the version.
CREATE TABLE webhooks (
    id              text COLLATE "C" PRIMARY KEY CHECK (id LIKE 'whk\_%'),
    url             text        NOT NULL UNIQUE CHECK (length(url) <= 2048),
    events          text[]      NOT NULL CHECK (cardinality(events) > 0
        AND events <@ ARRAY ['order.ticketed', 'order.declined', 'order.rejected', 'order.refunded']),
    version         integer     NOT NULL DEFAULT 1 CHECK (version >= 1),
    rotated_at      timestamptz CHECK ((rotated_at IS NULL) = (version = 1)),
    created_at      timestamptz NOT NULL DEFAULT now(),
    disabled_at     timestamptz,
    disabled_reason text        NOT NULL DEFAULT '',
    CHECK ((disabled_at IS NULL) = (disabled_reason = ''))
);

-- One order's news for one receiver. The id is computed of what makes it unique, so one
-- news can't be told to one receiver under two ids, nor be queued twice.
CREATE TABLE deliveries (
    id        text COLLATE "C" GENERATED ALWAYS AS
        ('msg_' || left(encode(sha256((order_id || ' ' || told || ' ' || lane)::bytea), 'hex'), 32)) STORED PRIMARY KEY,
    order_id  text COLLATE "C" NOT NULL,
    told      text        NOT NULL CHECK (told IN ('ticketed', 'declined', 'rejected', 'refunded')),
    lane      text COLLATE "C" NOT NULL CHECK (lane = 'email' OR lane LIKE 'whk\_%'),
    buyer     text COLLATE "C" NOT NULL,
    reason    text        NOT NULL,
    at        timestamptz NOT NULL,
    state     text        NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sent', 'dead')),
    attempts  integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    error     text        NOT NULL DEFAULT '',
    queued_at timestamptz NOT NULL DEFAULT now(),
    due       timestamptz NOT NULL DEFAULT now(), -- or, once it is taken, when the lease ends
    ended_at  timestamptz,
    CONSTRAINT deliveries_end_once CHECK ((state = 'queued') = (ended_at IS NULL)),
    CONSTRAINT deliveries_sent_by_an_attempt CHECK (state <> 'sent' OR attempts > 0)
) WITH (fillfactor = 70); -- room for the later states on the same page

CREATE INDEX deliveries_due ON deliveries (lane, due) WHERE state = 'queued';
CREATE INDEX deliveries_queued ON deliveries (queued_at, id) WHERE state = 'queued';
CREATE INDEX deliveries_ended ON deliveries (state, ended_at, id) WHERE state <> 'queued';
CREATE INDEX deliveries_to_buyer ON deliveries (buyer) WHERE state = 'queued' AND lane = 'email';

-- +goose Down
DROP TABLE deliveries;
DROP TABLE webhooks;
DROP TABLE contacts;
