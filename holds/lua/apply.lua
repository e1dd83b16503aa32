-- apply: any number of operations in one call, in order.
--
-- ARGV     4 number of operations, then per operation: its name, the number of its
--          arguments, the hold's id, the rest of the arguments
-- RETURNS  {"done", now, seq, next due (0: none), reply, reply, …}
--          {"absent"}        Redis has no stock of the event: it was lost, or never loaded
--          {"epoch", epoch}  the caller's epoch is another
--          {"recovering"}    stock is being rebuilt

local first, ids = {}, {}
local at = 5
for i = 1, tonumber(ARGV[4]) do
  first[i] = at
  ids[i] = ARGV[at + 2]
  at = at + 2 + tonumber(ARGV[at + 1])
end
fetch(ids)
reap()

local replies = {'done', string.format('%.0f', now)}
for i = 1, #ids do
  replies[i + 4] = operations[ARGV[first[i]]](ids[i], first[i] + 3)
end
close()
replies[3] = seq
replies[4] = string.format('%.0f', next_due())
return replies
