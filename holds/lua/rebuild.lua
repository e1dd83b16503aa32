-- rebuild: lays an event's stock anew, in a new epoch, in steps, each a call and short.
-- From "begin" to "finish" every other operation is answered "recovering".
--
-- KEYS     as in book.lua
-- ARGV     1 epoch, 2 channel, 3 step, then
--          begin   hold_ms, cap, memory_ms, run of the server ("": not known),
--                  orphans ("allowed" or "avoided"), holds a buyer may make a minute, extend_ms,
--                  how many stripes the event has, up to which epoch a whole stock is emptied
--                  too: it is one stripe's, and the event isn't whole
--          holds   id and record, id and record, …
--          buyers  buyer and what is kept of them, …
--          pins    when it was pinned and id, …
--          finish  sale, seats, counts of section 0, 1, …
-- RETURNS  {"done"}; {"epoch", epoch} if a newer rebuild is in the way, or a stock that is
--          as it should be

local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or 0)
local sale = redis.call('HGET', KEYS[1], 'sale')
local mine = tonumber(ARGV[1])
local step = ARGV[3]

if step == 'begin' then
  local whole = sale and sale ~= 'recovering' and redis.call('HGET', KEYS[1], 'run') == ARGV[7]
  if epoch >= mine or whole and epoch > tonumber(ARGV[12]) then return {'epoch', tostring(epoch)} end
  local clock = redis.call('HGET', KEYS[1], 'clock') or '0'
  redis.call('UNLINK', unpack(KEYS)) -- DEL would keep Redis for as long as the sale was long
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'sale', 'recovering', 'seq', '0', 'clock', clock,
    'hold_ms', ARGV[4], 'cap', ARGV[5], 'memory_ms', ARGV[6], 'run', ARGV[7],
    'orphans', ARGV[8], 'rate', ARGV[9], 'extend_ms', ARGV[10], 'stripes', ARGV[11])
  tell({e = mine, q = 0, s = 'recovering'})
  return {'done'}
end

if epoch ~= mine or sale ~= 'recovering' then return {'epoch', tostring(epoch)} end

local writes = {holds = {'HSET', KEYS[2]}, buyers = {'HSET', KEYS[4]}, pins = {'ZADD', KEYS[6]}}
if writes[step] then
  local command, key = unpack(writes[step])
  redis.call(command, key, unpack(ARGV, 4))
  return {'done'}
end

redis.call('SET', KEYS[5], ARGV[5])
local counts = {}
for i = 6, #ARGV do
  local a, h, p, s = string.match(ARGV[i], '^(%d+),(%d+),(%d+),(%d+)$')
  counts[#counts + 1] = 'c:' .. (i - 6)
  counts[#counts + 1] = ARGV[i]
  counts[#counts + 1] = 'share:' .. (i - 6)
  counts[#counts + 1] = string.format('%.0f', a + h + p + s)
end
-- From 0 to 2: the gap makes every mirror read the whole.
redis.call('HSET', KEYS[1], 'sale', ARGV[4], 'seq', '2', unpack(counts))
tell({e = mine, q = 2, s = ARGV[4]})
return {'done'}
