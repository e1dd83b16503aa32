-- refund: a ticketed order was paid back whole, so what its hold has is available again,
-- whatever Redis thinks the hold has become: news of its sale may come later than this, or
-- once more. It is not forgotten, or they would sell it again, and its key buy again.
--
-- ARGS     id, buyer, lines
-- RETURNS  "ok", also for a repeat

operations.refund = function(id, buyer, at)
  local hold = hold_of(id) or unknown_hold(buyer, ARGV[at])
  if hold.state == 'b' then return 'ok' end
  if is_live(hold) then give_back(id, hold, 'b') end
  hold.state = 'b'
  pins[id], due[id] = false, false
  put(id, hold)
  return 'ok'
end
