-- inspect: everything there is of an event, in one step, for the auditor. It costs
-- Redis what reading all holds costs; operators only.
--
-- RETURNS  {what snapshot.lua gives, holds as HGETALL, due as ZRANGE WITHSCORES, buyers as HGETALL, pins as ZRANGE WITHSCORES}

return {
  snapshot(),
  redis.call('HGETALL', KEYS[2]),
  redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES'),
  redis.call('HGETALL', KEYS[4]),
  redis.call('ZRANGE', KEYS[6], 0, -1, 'WITHSCORES'),
}
