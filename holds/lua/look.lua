-- look: what has become of a buyer's hold.
--
-- ARGS     id, buyer
-- RETURNS  "ok <record>", "unknown" (never was, or is another's)

operations.look = function(id, at)
  local hold = holds[id]
  if not hold or hold.buyer ~= ARGV[at] then return 'unknown' end
  return 'ok ' .. text_of(hold)
end
