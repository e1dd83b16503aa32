-- free: the order of a pinned hold came to nothing (declined, rejected, never was):
-- what the hold had is available again.
--
-- ARGS     id, when it was pinned as the caller knows it (0: whenever)
-- RETURNS  "ok", also for a repeat; "unknown"; "sold" (only refund.lua frees it); "pinned"
--          (again since: another purchase may be on its way)

operations.free = function(id, _, at)
  local hold = hold_of(id)
  if not hold then return 'unknown' end
  if hold.state == 's' or hold.state == 'o' then return 'sold' end
  if ARGV[at] ~= '0' and ARGV[at] ~= text(hold.pinned) then return 'pinned' end
  if hold.state == 'h' or hold.state == 'p' then give_back(id, hold, 'r') end
  return 'ok'
end
