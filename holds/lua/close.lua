-- Closing the book: everything that changed is written, a command a kind, and
-- then told, as one numbered delta. Readers are told only what is already true.

-- Calls a variadic command with its arguments in portions that Lua can unpack.
local function call_in_portions(command, key, arguments)
  local most = 1000 -- even, so that a field and its value stay together
  for i = 1, #arguments, most do
    call(command, key, unpack(arguments, i, math.min(i + most - 1, #arguments)))
  end
end

local function write_index(key, changes)
  local added, n, removed = {}, 0, {}
  for id, score in pairs(changes) do
    if score then
      added[n + 1], added[n + 2] = text(score), id
      n = n + 2
    else removed[#removed + 1] = id end
  end
  call_in_portions('ZADD', key, added)
  call_in_portions('ZREM', key, removed)
end

local function write_hash(key, changed, values, as_text)
  local set, n, removed = {}, 0, {}
  for field in pairs(changed) do
    local value = values[field]
    local written = value and as_text(value)
    if written then
      set[n + 1], set[n + 2] = field, written
      n = n + 2
    else removed[#removed + 1] = field end
  end
  call_in_portions('HSET', key, set)
  call_in_portions('HDEL', key, removed)
end

-- A buyer who has nothing, and whose minute is over, is forgotten.
local function buyer_text(b)
  if b.n == 0 and b.began + MINUTE_MS <= now then return nil end
  return text(b.n) .. '|' .. text(b.began) .. '|' .. text(b.made)
end

-- Writes the changed seats, and returns them, as runs of neighbours: {{offset, letters}, …}.
local function write_seats()
  local offsets, runs = {}, {}
  for offset in pairs(seats_changed) do offsets[#offsets + 1] = offset end
  table.sort(offsets)
  local first = 1
  for i = 1, #offsets do
    if offsets[i + 1] ~= offsets[i] + 1 then
      local letters = {}
      for j = first, i do letters[#letters + 1] = seats[offsets[j]] end
      local run = {offsets[first], concat(letters)}
      call('SETRANGE', SEATS, run[1], run[2])
      runs[#runs + 1] = run
      first = i + 1
    end
  end
  return runs
end

local function close()
  local learned = lessons()
  if #granted == 0 and next(holds_changed) == nil and next(due) == nil and next(counts_changed) == nil then
    call_in_portions('HSET', META, learned)
    return
  end
  -- First: an operation after the grant may have changed it.
  if #granted_ids > 0 then call('ZADD', DUE, text(now + hold_ms), concat(granted_ids, ' ')) end
  call_in_portions('HSET', HOLDS, granted)
  write_index(DUE, due)
  write_index(PINS, pins)
  write_hash(HOLDS, holds_changed, holds, text_of)
  write_hash(BUYERS, buyers_changed, buyers, buyer_text)
  local told, meta = {}, {'clock', text(now)}
  for section in pairs(counts_changed) do
    local c = counts[section]
    meta[#meta + 1] = 'c:' .. section
    meta[#meta + 1] = text(c.a) .. ',' .. text(c.h) .. ',' .. text(c.p) .. ',' .. text(c.s)
    told[section] = {c.a, c.h, c.p, c.s}
  end
  for field in pairs(ledgers_changed) do
    meta[#meta + 1] = field
    meta[#meta + 1] = ledger_text(ledgers[field])
  end
  local runs = write_seats()
  local changed = next(told) ~= nil
  if changed then
    seq = seq + 1
    meta[#meta + 1] = 'seq'
    meta[#meta + 1] = seq
  end
  call('HSET', META, unpack(meta))
  call_in_portions('HSET', META, learned)
  if changed then
    local told_ids = #granted_tails > 0 and concat(granted_tails) or nil
    tell({e = tonumber(ARGV[1]), q = seq, t = now, s = sale, n = next_due(), c = told, x = #runs > 0 and runs or nil, g = told_ids})
  end
end
