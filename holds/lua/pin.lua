-- pin: a checkout has begun. From here on the hold can't expire; it ends only by
-- confirm or free. A repeat finds it pinned, and begins the pin's time anew, since
-- another purchase may be on its way to Kafka; or finds it accepted, whatever the
-- order has come to since, and is answered the same.
--
-- ARGS     id, buyer, generation (0: any)
-- RETURNS  "ok <record>", "unknown" (never was, or is another's), "stale" (another
--          generation), "ended <state>"

operations.pin = function(id, buyer, at)
  local hold = hold_of(id)
  if not hold or hold.buyer ~= buyer then return 'unknown' end
  if is_stale(hold, ARGV[at]) then return 'stale' end
  if hold.accepted ~= '0' or hold.state == 's' or hold.state == 'o' then return 'ok ' .. text_of(hold) end
  if hold.state == 'p' then
    hold.pinned = now
    pins[id] = now
    put(id, hold)
    return 'ok ' .. text_of(hold)
  end
  if hold.state ~= 'h' then return 'ended ' .. hold.state end
  if hold.deadline <= now then give_back(id, hold, 'x'); return 'ended x' end
  move_hold(hold, 'h', 'p')
  hold.state = 'p'
  hold.pinned = now
  due[id] = false
  pins[id] = now
  put(id, hold)
  return 'ok ' .. text_of(hold)
end
