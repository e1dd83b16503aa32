-- The whole stock. Reads only, so a replica can run what is made of it.
--
-- KEYS     as in book.lua
-- ARGV     1 number of sections
-- GIVES    {epoch, sale, seq, now, next due (0: none), seats, counts of section 0, 1, …}; {} if there is none

local function snapshot()
  local fields = {'epoch', 'sale', 'seq', 'clock'}
  for i = 0, tonumber(ARGV[1]) - 1 do fields[#fields + 1] = 'c:' .. i end
  local meta = redis.call('HMGET', KEYS[1], unpack(fields))
  if not meta[1] then return {} end
  local time = redis.call('TIME')
  local now = math.max(tonumber(meta[4]), time[1] * 1000 + math.floor(time[2] / 1000))
  local earliest = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
  local out = {meta[1], meta[2], meta[3], string.format('%.0f', now),
    string.format('%.0f', tonumber(earliest[2] or 0)), redis.call('GET', KEYS[5]) or ''}
  for i = 5, #fields do out[#out + 1] = meta[i] or '' end
  return out
end
