-- extend: the buyer gets more time, once, if the event allows it. It is a new
-- generation of the hold: what was asked about the one before changes nothing any more.
-- A repeat finds it extended and is answered the same.
--
-- ARGS     id, buyer, generation
-- RETURNS  "ok <record>", "unknown", "stale", "not_extendable", "pinned", "ended <state>"

operations.extend = function(id, buyer, at)
  local hold = hold_of(id)
  if not hold or hold.buyer ~= buyer then return 'unknown' end
  local asked = ARGV[at]
  if hold.state == 'h' and hold.deadline > now and hold.generation == '2' and (asked == '1' or asked == '0') then
    return 'ok ' .. text_of(hold)
  end
  if is_stale(hold, asked) then return 'stale' end
  if hold.state == 'p' then return 'pinned' end
  if hold.state ~= 'h' then return 'ended ' .. hold.state end
  if hold.deadline <= now then give_back(id, hold, 'x'); return 'ended x' end
  if extend_ms == 0 or hold.generation ~= '1' then return 'not_extendable' end
  hold.deadline = hold.deadline + extend_ms
  hold.generation = '2'
  due[id] = hold.deadline
  put(id, hold)
  return 'ok ' .. text_of(hold)
end
