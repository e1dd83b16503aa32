-- look: what has become of a buyer's hold.
--
-- ARGS     id, buyer
-- RETURNS  "ok <record>", "unknown" (never was, or is another's)

operations.look = function(id, buyer)
  local hold = hold_of(id)
  if not hold or hold.buyer ~= buyer then return 'unknown' end
  return 'ok ' .. text_of(hold)
end
