-- Expiry: no hold outlives its deadline, by Redis's clock, to the millisecond.
-- Every call reaps what is due before it looks at anything else, so what an
-- expired hold had is sellable to the very next request; sweeping is a call with
-- no operations, for when nobody asks. An ended hold whose memory is over is
-- forgotten here too; a sold one never is, or its key could buy again.

local reaped = 0      -- entries of the index that this call has dealt with; they leave it at close()
local more_due = true -- whether there may be others

local function reap()
  local ids = call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', reaped, reap_most)
  reaped = reaped + #ids
  fetch(ids)
  for i = 1, #ids do
    local id = ids[i]
    local hold = hold_of(id)
    if due[id] ~= nil then
      -- An operation of this call has already given it another time.
    elseif hold and hold.state == 'h' then
      give_back(id, hold, 'x')
    else
      due[id] = false
      if hold and hold.state ~= 'p' then
        put(id, false)
        credit(hold.buyer, 0) -- so that a buyer who has nothing is forgotten too
      end
    end
  end
  more_due = #ids == reap_most
end
