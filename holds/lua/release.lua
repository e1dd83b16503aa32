-- release: the buyer gives a hold back. A repeat finds it released and is
-- answered the same.
--
-- ARGS     id, buyer, generation (0: any)
-- RETURNS  "ok", "unknown" (never was, or is another's), "stale" (another generation),
--          "pinned", "ended <state>"

operations.release = function(id, buyer, at)
  local hold = hold_of(id)
  if not hold or hold.buyer ~= buyer then return 'unknown' end
  if is_stale(hold, ARGV[at]) then return 'stale' end
  if hold.state == 'r' then return 'ok' end
  if hold.state == 'p' then return 'pinned' end
  if hold.state ~= 'h' then return 'ended ' .. hold.state end
  if hold.deadline <= now then give_back(id, hold, 'x'); return 'ended x' end
  give_back(id, hold, 'r')
  return 'ok'
end
