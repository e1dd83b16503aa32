-- confirm: Postgres says that the hold's order is ticketed, so what it had is sold.
--
-- A hold that recovery has freed meanwhile takes its inventory again if it is
-- still there: the order is real, and what Redis shows must follow it.
--
-- ARGS     id
-- RETURNS  "ok", "unknown" (forgotten, or counted as sold by a rebuild), "lost" (its
--          inventory is someone else's here; Postgres will reject that one)

local function retake(id, hold)
  for section, kind, rest in gmatch(hold.lines, '(%d+)([*@])([%d.]+)') do
    if kind == '*' and count(section).a < tonumber(rest) then return false end
    if kind == '@' then
      for offset in gmatch(rest, '%d+') do
        if seat(tonumber(offset)) ~= 'a' then return false end
      end
    end
  end
  credit(hold.buyer, move_hold(hold, 'a', 's'))
  return true
end

operations.confirm = function(id)
  local hold = holds[id]
  if not hold then return 'unknown' end
  if hold.state == 's' then return 'ok' end
  if hold.state == 'r' or hold.state == 'x' then
    if not retake(id, hold) then return 'lost' end
  else
    move_hold(hold, hold.state, 's')
  end
  hold.state = 's'
  pins[id] = false
  due[id] = now + memory_ms
  put(id, hold)
  return 'ok'
end
