-- Expiry: no hold outlives its deadline, by Redis's clock, to the millisecond.
-- Every call reaps what is due before it looks at anything else, so what an
-- expired hold had is sellable to the very next request; sweeping is a call with
-- no operations, for when nobody asks. An ended hold whose memory is over is
-- forgotten here too; a sold one never is, or its key could buy again.

local reaped = 0       -- entries of the index that this call has dealt with; they leave it at close()
local reaped_holds = 0 -- holds that they stand for
local more_due = true  -- whether there may be others

-- Entries that are read at a time: one may stand for a whole call's holds.
local REAP_ENTRIES = 8

-- An entry for one hold: that it expires or, ended, is forgotten.
local function reap_one(id)
  fetch({id})
  local hold = hold_of(id)
  if due[id] ~= nil then
    -- An operation of this call has already given it another time.
  elseif hold and hold.state == 'h' then
    -- An id that was forgotten and granted again in one call has an entry of before.
    if hold.deadline <= now then give_back(id, hold, 'x') else due[id] = hold.deadline end
  else
    due[id] = false
    if hold and hold.state ~= 'p' then
      put(id, false)
      credit(hold.buyer, 0) -- so that a buyer who has nothing is forgotten too
    end
  end
end

-- An entry for all that one call granted: those that are held still, as they were, expire.
local function reap_many(entry)
  local ids, n = {}, 0
  for id in gmatch(entry, '%S+') do
    n = n + 1
    ids[n] = id
  end
  fetch(ids)
  for i = 1, n do
    local hold = hold_of(ids[i])
    if hold and hold.state == 'h' and hold.deadline <= now then give_back(ids[i], hold, 'x') end
  end
  due[entry] = false
  return n
end

local function reap()
  local looked = 0
  repeat
    local entries = call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', reaped, REAP_ENTRIES)
    more_due = #entries == REAP_ENTRIES
    for i = 1, #entries do
      if looked >= reap_most then more_due = true; break end
      local n = 1
      if find(entries[i], ' ', 1, true) then n = reap_many(entries[i]) else reap_one(entries[i]) end
      reaped, reaped_holds, looked = reaped + 1, reaped_holds + n, looked + n
    end
  until not more_due or looked >= reap_most
end
