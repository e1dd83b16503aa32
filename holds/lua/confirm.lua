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
  for section, kind, rest in gmatch(hold.lines, '(%d+)([*@])([%d.]+)') do
    if kind == '*' and count(section).a < tonumber(rest) then return false end
    if kind == '@' then
      for offset in gmatch(rest, '%d+') do
        if seat(tonumber(offset)) ~= 'a' then return false end
      end
    end
  end
  return true
end

operations.confirm = function(id, at)
  local hold = holds[id]
  if not hold then
    hold = {state = 'x', generation = '1', deadline = now, pinned = 0, accepted = '0', buyer = ARGV[at], print = '', lines = ARGV[at + 1]}
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
