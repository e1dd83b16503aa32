-- tell: publishes a delta to whoever listens to the event. In a cluster a sharded
-- message stays with the event's shard, its replicas included. What has no sharded
-- publishing (Redis before 7, miniredis) publishes as ever; listeners go by the same
-- sign, see rung.listen.
--
-- ARGV     2 channel

local function tell(delta)
  local text = cjson.encode(delta)
  local told = redis.pcall('SPUBLISH', ARGV[2], text)
  if type(told) ~= 'table' or not told.err then return end
  if not string.find(told.err, 'Unknown', 1, true) then error(told.err, 0) end
  redis.call('PUBLISH', ARGV[2], text)
end
