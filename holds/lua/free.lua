-- free: the order of a pinned hold came to nothing (declined, rejected, never was):
-- what the hold had is available again.
--
-- ARGS     id
-- RETURNS  "ok", also for a repeat; "unknown"; "sold" (it can't be freed)

operations.free = function(id)
  local hold = holds[id]
  if not hold then return 'unknown' end
  if hold.state == 's' then return 'sold' end
  if hold.state == 'h' or hold.state == 'p' then give_back(id, hold, 'r') end
  return 'ok'
end
