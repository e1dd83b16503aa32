-- One hold, whole. KEYS: stock, buyers, holds. ARGV: buyer, hold's field.
-- Returns the admission; -1 if none is left, -2 if the buyer has all that one may have.
local again = redis.call('HGET', KEYS[3], ARGV[2])
if again then return tonumber(again) end
local stock = redis.call('HMGET', KEYS[1], 'left', 'limit')
local left = tonumber(stock[1])
if left < 1 then return -1 end
if tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or 0) >= tonumber(stock[2]) then return -2 end
redis.call('HINCRBY', KEYS[1], 'left', -1)
redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
redis.call('HSET', KEYS[3], ARGV[2], left)
return left
