-- page: some of an event's holds, each with where the indexes have it, in one step. A
-- hold may come in more than one page.
--
-- ARGV     1 cursor ("0" at first), 2 about how many
-- RETURNS  {next cursor ("0": that was all), id, record, when it is due by itself ("": it
--          is not), when it was pinned ("": it is not), id, …}

local found = redis.call('HSCAN', KEYS[2], ARGV[1], 'COUNT', ARGV[2])
local out, pairs_of, ids = {found[1]}, found[2], {}
for i = 1, #pairs_of, 2 do ids[#ids + 1] = pairs_of[i] end
if #ids == 0 then return out end
local due, pins = redis.call('ZMSCORE', KEYS[3], unpack(ids)), redis.call('ZMSCORE', KEYS[6], unpack(ids))
for i = 1, #ids do
  local n = #out
  out[n + 1], out[n + 2], out[n + 3], out[n + 4] = ids[i], pairs_of[2 * i], due[i] or '', pins[i] or ''
end
return out
