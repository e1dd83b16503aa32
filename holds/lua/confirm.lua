-- confirm: Postgres says that the hold's order is ticketed, so what it had is sold.
-- What Redis shows must follow, whatever Redis thinks the hold has become:
--
--   forgotten or never known   (a purchase that came late, after the stock was laid
--                              anew) it is written as sold, if the inventory is there
--   freed by recovery          it takes its inventory again, if it is still there
--   not there any more         it is owed: it stays among the pins, and recovery
--                              confirms it again until the hold that has the
--                              inventory ends. Postgres rejects that one's order
--   refunded                   it stays so: these are older news
--
-- The lines are what the order has. They are fewer than the hold's once some of it was
-- refunded, which is available again then; and more if these are older news, which
-- change nothing. So however often news come, and in whatever order, the hold ends with
-- what all of them leave it.
--
-- ARGS     id, buyer, lines
-- RETURNS  "ok", "owed"

-- Takes from a hold what its order hasn't got any more. An order that has nothing of it is
-- none: see refund.lua.
local function keep_only(id, hold, lines)
  local left = {} -- by section: how many, and the offsets of seats
  each_line({lines = lines}, function(section, n, line)
    left[section] = {n = n}
    for i = 1, #line do left[section][line[i].offset] = true end
  end)
  local kept, gone = {}, {}
  each_line(hold, function(section, n, line)
    local has = left[section] or {n = 0}
    local stay, go = {}, {}
    for i = 1, #line do
      local to = has[line[i].offset] and stay or go
      to[#to + 1] = line[i]
    end
    local stays = #line > 0 and #stay or math.min(n, has.n)
    if stays > 0 then kept[#kept + 1] = line_text({section = section, n = stays, seats = stay}) end
    if stays < n then gone[#gone + 1] = {section = section, n = n - stays, seats = go} end
  end)
  if #gone == 0 or #kept == 0 then return end
  hold.lines = concat(kept, ',')
  put(id, hold)
  if not is_live(hold) then return end
  for i = 1, #gone do
    offer_again(gone[i].section, gone[i].n, gone[i].seats, hold.state)
    credit(hold.buyer, -gone[i].n)
  end
end

local function is_there(hold)
  local there = true
  each_line(hold, function(section, n, line)
    there = there and count(section).a >= n
    for i = 1, #line do there = there and seat(line[i].offset) == line[i].letter end
  end)
  return there
end

operations.confirm = function(id, buyer, at)
  local hold = hold_of(id) or unknown_hold(buyer, ARGV[at])
  if hold.state == 'b' then return 'ok' end
  if hold.lines ~= ARGV[at] then keep_only(id, hold, ARGV[at]) end
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
