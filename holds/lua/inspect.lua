-- inspect: what there is of an event, for the auditor: the stock and, if it is little,
-- all the rest in the same step. A large event's holds are read in pages, see page.lua.
--
-- ARGV     1 number of sections, 2 how many holds and buyers are little
-- RETURNS  {what snapshot.lua gives}, or {that, holds as HGETALL, due as ZRANGE
--          WITHSCORES, buyers as HGETALL, pins as ZRANGE WITHSCORES}

if redis.call('HLEN', KEYS[2]) + redis.call('HLEN', KEYS[4]) > tonumber(ARGV[2]) then return {snapshot()} end
return {
  snapshot(),
  redis.call('HGETALL', KEYS[2]),
  redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES'),
  redis.call('HGETALL', KEYS[4]),
  redis.call('ZRANGE', KEYS[6], 0, -1, 'WITHSCORES'),
}
