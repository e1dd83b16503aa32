-- apply: any number of operations in one call, in order.
--
-- ARGV     4 number of operations, then the hold's id of each, then the buyer of each
--          ("" where none matters), then per operation its name and its arguments, or "=":
--          both are those of the one before
-- RETURNS  {"done", now, seq, next due (0: none), replies}, a line a reply, with fewer of them than
--          operations if the last ones were left undone: no call keeps Redis for long
--          {"absent"}        Redis has no stock of the event: it was lost, or never loaded
--          {"epoch", epoch}  the caller's epoch is another
--          {"recovering"}    stock is being rebuilt

-- How many arguments an operation has; the others say it themselves, in a first one.
local arity = {general = 3, block = 5, release = 1, pin = 1, extend = 1, look = 0, accept = 1, confirm = 1, free = 1, refund = 1,
  spare = 2, lend = 3, borrow = 4}

local n = tonumber(ARGV[4])
local at = 5 + 2 * n
local ids, names = {unpack(ARGV, 5, 4 + n)}, {unpack(ARGV, 5 + n, 4 + 2 * n)}
fetch(ids)
fetch_buyers(names)
reap()

local LOOK_EVERY = 16 -- operations

local replies, costly = {}, false -- costly: what was done last may have taken long
local name, from -- of an operation, and where its arguments are
for i = 1, n do
  if (costly or i % LOOK_EVERY == 0) and overdrawn() then break end
  if ARGV[at] == '=' then
    at = at + 1
  else
    name, from = ARGV[at], at + 1
    local arguments = arity[name]
    if not arguments then
      arguments = tonumber(ARGV[from])
      from = from + 1
    end
    at = from + arguments
  end
  costly = name == 'hold'
  replies[i] = operations[name](ids[i], names[i], from)
end
close()
return {'done', text(now), seq, text(next_due()), concat(replies, '\n')}
