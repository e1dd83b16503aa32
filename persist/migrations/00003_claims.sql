-- Live claims: whose seat it is. A claim that is dropped is deleted; the order's
-- history remembers it. There are no foreign keys here or in 00004: each would
-- cost a look-up a row on the busiest path, the rows are written together with
-- their order in one transaction, and the audit checks that they agree.

-- +goose Up
CREATE TABLE claims (
    event    text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    section  text COLLATE "C" NOT NULL,
    seat     text COLLATE "C" NOT NULL, -- '' in a general section
    quantity integer NOT NULL CHECK (quantity > 0 AND (seat = '' OR quantity = 1)),
    PRIMARY KEY (event, order_id, section, seat)
);

-- What makes an oversold seat impossible, whatever the code above it does.
CREATE UNIQUE INDEX claims_one_per_seat ON claims (event, section, seat) WHERE seat <> '';

-- +goose Down
DROP TABLE claims;
