-- confirm: Postgres says that the hold's order is ticketed, so what it had is sold.
-- What Redis shows must follow, whatever Redis thinks the hold has become:
--
--   forgotten or never known   (a purchase that came late, after the stock was laid
--                              anew) it is written as sold, if the inventory is there
--   freed by recovery          it takes its inventory again, if it is still there
--   not there any more         it is owed: it stays among the pins, and recovery
--                              confirms it again until the hold that has the
--                              inventory ends. Postgres rejects that one's order
--
-- ARGS     id, buyer, lines
-- RETURNS  "ok", "owed"

local function is_there(hold)
  local there = true
  each_line(hold, function(section, n, line)
    there = there and count(section).a >= n
    for i = 1, #line do there = there and seat(line[i].offset) == line[i].letter end
  end)
  return there
end

operations.confirm = function(id, buyer, at)
  local hold = hold_of(id)
  if not hold then
    hold = {state = 'x', generation = '1', deadline = now, pinned = 0, accepted = '0', buyer = buyer, print = '', lines = ARGV[at]}
  end
  if hold.state == 's' then return 'ok' end
  if hold.state == 'h' or hold.state == 'p' then
    move_hold(hold, hold.state, 's')
  elseif is_there(hold) then
    credit(hold.buyer, move_hold(hold, 'a', 's'))
  else
    hold.state = 'o'
    pins[id], due[id] = 0, false
    put(id, hold)
    return 'owed'
  end
  hold.state = 's'
  pins[id], due[id] = false, false
  put(id, hold)
  return 'ok'
end
