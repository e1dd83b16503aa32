-- The book: what one call knows of the event while it works. Every operation
-- reads and changes the book; nothing is written to Redis until close() writes
-- it all. So a call that fails changes nothing, a record is read and written at
-- most once however many operations touch it, and one delta tells them all.
--
-- KEYS  1 meta     hash: epoch, run, sale, seq, clock, hold_ms, cap, memory_ms,
--                  orphans, rate, extend_ms, and "c:<section index>" =
--                  "available,held,pinned,sold"; "f:<section index>", see ground.lua;
--                  of the first stripe how many stripes there are; and what stripe.lua keeps
--       2 holds    hash: hold id → record, see parse(); or "@" and the id that the hold
--                  had before its stock was laid anew
--       3 due      zset by the millisecond: the ids of what one call granted, joined by
--                  spaces, when those that are held still expire; a hold's id alone, when
--                  it expires after it was extended or, once it has come to nothing, is forgotten
--       4 buyers   hash: buyer → "admissions held, pinned and sold|when the minute of
--                  its holds began|holds since then"
--       5 seats    string: a byte a seat, see onsale.Layout
--       6 pins     zset: hold id by the millisecond at which it was last pinned, or 0 if
--                  it is owed: what recovery looks into
-- RUN      the run of the server that this text is meant for; see fence.go
-- ARGV  1 epoch    the caller's; another one than the book's changes nothing
--       2 channel  where the delta is published
--       3 most     how many due holds one reaping may take
--
-- A hold's states are h(eld), p(inned), s(old), r(eleased) and (e)x(pired). The
-- first three are also its seats' letters; a is available, and so, for those who ask
-- for them, are w(heelchair) and c(ompanion) seats. One that is o(wed) is sold by
-- Postgres's word while its inventory here is another hold's; see confirm.lua. One that is
-- b(ack) was sold and refunded; see refund.lua.

local META, HOLDS, DUE, BUYERS, SEATS, PINS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local match, gmatch, find, sub, rep = string.match, string.gmatch, string.find, string.sub, string.rep
local floor, concat, format = math.floor, table.concat, string.format
local call = redis.call

local head = call('HMGET', META, 'epoch', 'sale', 'seq', 'clock', 'hold_ms', 'cap', 'memory_ms', 'orphans', 'rate', 'extend_ms', 'run')
if not head[1] then return {'absent'} end
if head[11] ~= RUN then return {'recovering'} end -- another run laid it, and its end may be lost
if head[1] ~= ARGV[1] then return {'epoch', head[1]} end
local sale = head[2]
if sale == 'recovering' then return {'recovering'} end
local seq, hold_ms, cap, memory_ms = tonumber(head[3]), tonumber(head[5]), tonumber(head[6]), tonumber(head[7])
local avoid_orphans, rate, extend_ms = head[8] ~= 'allowed', tonumber(head[9]), tonumber(head[10])
local reap_most = tonumber(ARGV[3])

-- One clock, Redis's own, that never runs backwards for an event.
local time = call('TIME')
local now = math.max(tonumber(head[4]), time[1] * 1000 + floor(time[2] / 1000))

-- Redis does nothing else while a call works. What was done is written in about as much time again.
local BUDGET_US = 1000

local function overdrawn()
  local at = call('TIME')
  return (at[1] - time[1]) * 1000000 + at[2] - time[2] > BUDGET_US
end

-- Whole numbers as text. A batch writes few different ones (its holds share a
-- deadline), and printing one costs as much as the rest of a hold.
local texts = {}
local function text(n)
  local t = texts[n]
  if not t then
    t = format('%.0f', n)
    texts[n] = t
  end
  return t
end

local holds, holds_changed = {}, {} -- id → record, its text until someone looks, or false if there is none
local granted, granted_ids = {}, {} -- what this call grants, as HSET takes it: id, text, …; and the ids alone
local granted_tails = {} -- 10 letters of each id that was granted under a key: see soldout.go
local due = {}                      -- id → new due time, or false to leave the index
local pins = {}                     -- id → new pin time, or false
local buyers, buyers_changed = {}, {}
local counts, counts_changed = {}, {}
local ledgers, ledgers_changed = {}, {} -- by field of meta; see stripe.lua
local seats, seats_changed = {}, {}
local changes_of = {} -- section → offset, letter, … of what was taken or came back; see ground.lua

-- What a request without an idempotency key has as its fingerprint. It can't be
-- repeated, so its hold is remembered only as long as a message may be under way.
local KEYLESS, KEYLESS_MEMORY_MS = '-', 60000

-- The time over which one buyer's holds are counted.
local MINUTE_MS = 60000

-- A record is "state|generation|deadline|pinned at|accepted at|buyer|fingerprint|lines"; its
-- lines are "section*quantity" or "section@offset.offset…", joined by commas. An
-- offset of an accessible seat is followed by its letter, w or c.
local function parse(text)
  local state, generation, deadline, pinned, accepted, buyer, print, lines =
    match(text, '^(%a)|(%d+)|(%d+)|(%d+)|(%d+)|([^|]*)|([^|]*)|(.*)$')
  if not state then return {was = match(text, '^@(.+)$')} end
  return {state = state, generation = generation, deadline = tonumber(deadline), pinned = tonumber(pinned),
    accepted = accepted, buyer = buyer, print = print, lines = lines}
end

local function text_of(hold)
  return hold.state .. '|' .. hold.generation .. '|' .. text(hold.deadline) .. '|' .. text(hold.pinned) .. '|' ..
    hold.accepted .. '|' .. hold.buyer .. '|' .. hold.print .. '|' .. hold.lines
end

-- Reads the records of holds that are not in the book yet, in one command.
local function fetch(ids)
  if #ids == 0 then return end
  local found = call('HMGET', HOLDS, unpack(ids))
  for i = 1, #ids do
    local id = ids[i]
    if holds[id] == nil then holds[id] = found[i] end
  end
end

-- The hold's record, or false.
local function hold_of(id)
  local hold = holds[id]
  if type(hold) == 'string' then
    hold = parse(hold)
    holds[id] = hold
  end
  return hold
end

-- The hold's id and record, under the id that it had before if its stock was laid anew since.
local function find_hold(id)
  local hold = hold_of(id)
  if hold and hold.was then
    fetch({hold.was})
    return hold.was, hold_of(hold.was)
  end
  return id, hold
end

local function put(id, hold)
  holds[id] = hold
  holds_changed[id] = true
end

-- Reads buyers, in one command.
local function fetch_buyers(names)
  if #names == 0 then return end
  local found = call('HMGET', BUYERS, unpack(names))
  for i = 1, #names do buyers[names[i]] = found[i] end
end

local function buyer_of(name)
  local b = buyers[name]
  if b == nil then b = call('HGET', BUYERS, name) end
  if b == false then
    b = {n = 0, began = 0, made = 0}
    buyers[name] = b
  elseif type(b) == 'string' then
    local n, began, made = match(b, '^(%d+)|(%d+)|(%d+)$')
    b = {n = tonumber(n), began = tonumber(began), made = tonumber(made)}
    buyers[name] = b
  end
  return b
end

local function credit(name, n)
  local b = buyer_of(name)
  b.n = b.n + n
  buyers_changed[name] = true
end

local function count(section)
  local c = counts[section]
  if not c then
    local a, h, p, s = match(call('HGET', META, 'c:' .. section), '^(%d+),(%d+),(%d+),(%d+)$')
    c = {a = tonumber(a), h = tonumber(h), p = tonumber(p), s = tonumber(s)}
    counts[section] = c
  end
  return c
end

local function seat(offset)
  local letter = seats[offset]
  if not letter then
    letter = call('GETRANGE', SEATS, offset, offset)
    seats[offset] = letter
  end
  return letter
end

-- Notes that a seat was taken or has come back, and its letter now.
local function note_change(section, offset, letter)
  local changes = changes_of[section]
  if not changes then
    changes = {}
    changes_of[section] = changes
  end
  local n = #changes
  changes[n + 1], changes[n + 2] = offset, letter
end

-- Moves n admissions of a section, and its seats if it has any, from one state to
-- another. A seat is {offset, letter}: what it is when it is available.
local function move(section, n, moved, from, to)
  local c = count(section)
  c[from] = c[from] - n
  c[to] = c[to] + n
  counts_changed[section] = true
  for i = 1, #moved do
    local offset, letter = moved[i].offset, to == 'a' and moved[i].letter or to
    seats[offset] = letter
    seats_changed[offset] = true
    if from == 'a' or to == 'a' then note_change(section, offset, letter) end
  end
end

-- Where inventory goes that comes back, by release, expiry or a declined payment: to
-- everyone. This is the place where an event's waiting list will be asked first.
local function offer_again(section, n, returned, from)
  move(section, n, returned, from, 'a')
end

-- Calls f(section, n, seats) for each of a hold's lines; returns the admissions in all.
local function each_line(hold, f)
  local total = 0
  for section, kind, rest in gmatch(hold.lines, '(%d+)([*@])([%d.wc]+)') do
    local line, n = {}, tonumber(rest)
    if kind == '@' then
      for offset, letter in gmatch(rest, '(%d+)([wc]?)') do
        line[#line + 1] = {offset = tonumber(offset), letter = letter == '' and 'a' or letter}
      end
      n = #line
    end
    f(section, n, line)
    total = total + n
  end
  return total
end

-- A line as a record has it: {section = …, n = …, seats = {{offset = …, letter = …}, …}}.
local function line_text(line)
  local n = #line.seats
  if n == 0 then return line.section .. '*' .. text(line.n) end
  local offsets = {}
  for i = 1, n do
    local s = line.seats[i]
    offsets[i] = s.letter == 'a' and text(s.offset) or text(s.offset) .. s.letter
  end
  return line.section .. '@' .. concat(offsets, '.')
end

-- Whether a hold has inventory.
local function is_live(hold) return hold.state == 'h' or hold.state == 'p' or hold.state == 's' end

-- The hold of an order of which Redis knows nothing.
local function unknown_hold(buyer, lines)
  return {state = 'x', generation = '1', deadline = now, pinned = 0, accepted = '0', buyer = buyer, print = '', lines = lines}
end

-- Moves all that a hold has from its state to another; returns how many admissions that is.
local function move_hold(hold, from, to)
  return each_line(hold, function(section, n, line) move(section, n, line, from, to) end)
end

-- Whether a request means another generation of the hold; 0 means any.
local function is_stale(hold, generation)
  return generation ~= '0' and generation ~= hold.generation
end

-- Ends a hold: its inventory is available again, its record a memory.
local function give_back(id, hold, state)
  credit(hold.buyer, -each_line(hold, function(section, n, line) offer_again(section, n, line, hold.state) end))
  if hold.state == 'p' then pins[id] = false end
  hold.state = state
  due[id] = now + (hold.print == KEYLESS and KEYLESS_MEMORY_MS or memory_ms)
  put(id, hold)
end

-- When the next hold is due, 0 if none is. Meant for after close() has written the index.
local function next_due()
  return tonumber(call('ZRANGE', DUE, 0, 0, 'WITHSCORES')[2] or 0)
end

local operations = {}
