-- condition: what an event's stock is like and, if asked, what the server is that has
-- it. It runs on the event's keys because a cluster has many servers. Reads only.
--
-- KEYS     as in book.lua
-- ARGV     1 "whose" if the server is to say who it is: that costs more than all the rest
--          2 "cluster" if the server is one of a cluster's
-- RETURNS  {epoch ("": no stock), seq, sale, run of the server that laid it, now,
--          the server's name in its cluster ("": none), how many stripes the event has
--          ("": one, or this is not the first of them), or with "whose": then also
--          what INFO says of the server, and of its replication ("": it doesn't say)}

local function said(...)
  local text = redis.pcall(...)
  return type(text) == 'string' and text or ''
end

local head = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'sale', 'run', 'stripes')
local time = redis.call('TIME')
local out = {head[1] or '', head[2] or '', head[3] or '', head[4] or '',
  string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)),
  ARGV[2] == 'cluster' and said('CLUSTER', 'MYID') or '', head[5] or ''}
if ARGV[1] == 'whose' then
  out[8] = said('INFO', 'server')
  out[9] = said('INFO', 'replication')
end
return out
