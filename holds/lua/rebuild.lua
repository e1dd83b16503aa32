-- rebuild: lays an event's stock anew, in a new epoch, in three steps, each a call.
-- From "begin" to "finish" every other operation is answered "recovering".
--
-- KEYS     as in book.lua
-- ARGV     1 epoch, 2 channel, 3 step, then
--          begin   hold_ms, cap, memory_ms, run id of the server ("": not known),
--                  orphans ("allowed" or "avoided"), holds a buyer may make a minute, extend_ms
--          holds   number of holds, and per hold: id, its id in this epoch, record, buyer,
--                  admissions, pinned at (0: not pinned)
--          finish  sale, seats, counts of section 0, 1, …
-- RETURNS  {"done"}; {"epoch", epoch} if a newer rebuild is in the way, or a stock that is
--          as it should be

local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or 0)
local sale = redis.call('HGET', KEYS[1], 'sale')
local mine = tonumber(ARGV[1])
local step = ARGV[3]

if step == 'begin' then
  local whole = sale and sale ~= 'recovering' and redis.call('HGET', KEYS[1], 'run') == ARGV[7]
  if epoch >= mine or whole then return {'epoch', tostring(epoch)} end
  local clock = redis.call('HGET', KEYS[1], 'clock') or '0'
  redis.call('DEL', unpack(KEYS))
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'sale', 'recovering', 'seq', '0', 'clock', clock,
    'hold_ms', ARGV[4], 'cap', ARGV[5], 'memory_ms', ARGV[6], 'run', ARGV[7],
    'orphans', ARGV[8], 'rate', ARGV[9], 'extend_ms', ARGV[10])
  redis.call('PUBLISH', ARGV[2], cjson.encode({e = mine, q = 0, s = 'recovering'}))
  return {'done'}
end

if epoch ~= mine or sale ~= 'recovering' then return {'epoch', tostring(epoch)} end

if step == 'holds' then
  for i = 0, tonumber(ARGV[4]) - 1 do
    local at = 5 + 6 * i
    local id, now_id, record, buyer, n, pinned = unpack(ARGV, at, at + 5)
    if redis.call('HSET', KEYS[2], id, record) == 1 then
      redis.call('HSETNX', KEYS[2], now_id, '@' .. id) -- a key that was used before finds it
      local has = string.match(redis.call('HGET', KEYS[4], buyer) or '0', '^%d+')
      redis.call('HSET', KEYS[4], buyer, string.format('%.0f|0|0', has + n))
      if pinned ~= '0' then redis.call('ZADD', KEYS[6], pinned, id) end
    end
  end
  return {'done'}
end

redis.call('SET', KEYS[5], ARGV[5])
local counts = {}
for i = 6, #ARGV do counts[#counts + 1] = 'c:' .. (i - 6); counts[#counts + 1] = ARGV[i] end
-- From 0 to 2: the gap makes every mirror read the whole.
redis.call('HSET', KEYS[1], 'sale', ARGV[4], 'seq', '2', unpack(counts))
redis.call('PUBLISH', ARGV[2], cjson.encode({e = mine, q = 2, s = ARGV[4]}))
return {'done'}
