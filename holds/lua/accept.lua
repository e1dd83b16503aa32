-- accept: Kafka has the purchase of a pinned hold. From here on a repeated checkout
-- is answered without another purchase. If this is lost, it is merely made again.
--
-- ARGS     id, when it was accepted, in ms
-- RETURNS  "ok", "unknown", "ended <state>"

operations.accept = function(id, _, at)
  local hold = hold_of(id)
  if not hold then return 'unknown' end
  if hold.state ~= 'p' and hold.state ~= 's' and hold.state ~= 'o' then return 'ended ' .. hold.state end
  if hold.accepted == '0' then
    hold.accepted = ARGV[at]
    put(id, hold)
  end
  return 'ok'
end
