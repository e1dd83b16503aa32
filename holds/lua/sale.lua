-- sale: an operator opens, pauses or closes the sale; told to the feed like any change.
--
-- KEYS     as in book.lua
-- ARGV     1 epoch, 2 channel, 3 the sale's new state
-- RETURNS  {"done"}, {"absent"}, {"epoch", epoch}, {"recovering"}

local head = redis.call('HMGET', KEYS[1], 'epoch', 'sale')
if not head[1] then return {'absent'} end
if head[1] ~= ARGV[1] then return {'epoch', head[1]} end
if head[2] == 'recovering' then return {'recovering'} end
if head[2] == ARGV[3] then return {'done'} end
redis.call('HSET', KEYS[1], 'sale', ARGV[3])
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
local time = redis.call('TIME')
local earliest = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
tell({e = tonumber(ARGV[1]), q = seq, t = time[1] * 1000 + math.floor(time[2] / 1000), s = ARGV[3], n = tonumber(earliest[2] or 0)})
return {'done'}
