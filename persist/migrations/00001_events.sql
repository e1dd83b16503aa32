-- Events and the counters of their sections. An event's definition never
-- changes once it is created: layouts, seats and prices are derived from it in
-- every process, so a changed row would make them disagree.

-- +goose Up
CREATE TABLE events (
    id         text COLLATE "C" PRIMARY KEY,
    definition jsonb       NOT NULL, -- the event as created, without its sale and epoch
    sale       text        NOT NULL DEFAULT 'draft' CHECK (sale IN ('draft', 'open', 'paused', 'closed')),
    epoch      bigint      NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A section's row is its lock: whoever claims or drops inventory of the section
-- holds it, and rows are locked in the order of the primary key.
CREATE TABLE sections (
    event    text COLLATE "C" NOT NULL REFERENCES events (id),
    section  text COLLATE "C" NOT NULL,
    capacity bigint NOT NULL CHECK (capacity > 0),
    claimed  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (event, section),
    CONSTRAINT sections_never_oversold CHECK (claimed BETWEEN 0 AND capacity)
) WITH (fillfactor = 50); -- room to update the counter in place

-- +goose StatementBegin
CREATE FUNCTION guard_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.definition <> OLD.definition THEN
        RAISE EXCEPTION 'event % can not be changed once it is created', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.epoch < OLD.epoch THEN
        RAISE EXCEPTION 'the epoch of event % can not fall', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd

CREATE TRIGGER guard_event BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION guard_event();

-- +goose Down
DROP TABLE sections;
DROP TABLE events;
DROP FUNCTION guard_event;
