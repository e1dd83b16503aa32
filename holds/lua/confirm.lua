-- confirm: Postgres says that the hold's order is ticketed, so what it had is sold.
--
-- A hold that recovery has freed meanwhile takes its inventory again if it is
-- still there: the order is real, and what Redis shows must follow it.
--
-- ARGS     id, generation (0: any)
-- RETURNS  "ok", "stale" (another generation), "unknown" (forgotten, or counted as sold by a rebuild), "lost" (its
--          inventory is someone else's here; Postgres will reject that one)

local function retake(hold)
  local there = true
  each_line(hold, function(section, n, line)
    there = there and count(section).a >= n
    for i = 1, #line do there = there and seat(line[i].offset) == line[i].letter end
  end)
  if there then credit(hold.buyer, move_hold(hold, 'a', 's')) end
  return there
end

operations.confirm = function(id, at)
  local hold = holds[id]
  if not hold then return 'unknown' end
  if is_stale(hold, ARGV[at]) then return 'stale' end
  if hold.state == 's' then return 'ok' end
  if hold.state == 'r' or hold.state == 'x' then
    if not retake(hold) then return 'lost' end
  else
    move_hold(hold, hold.state, 's')
  end
  hold.state = 's'
  pins[id] = false
  due[id] = now + memory_ms
  put(id, hold)
  return 'ok'
end
