-- hold: take inventory for a buyer for a while, all that is asked for or nothing.
--
-- ARGS     id, buyer, fingerprint of the request, number of asks, and per ask either
--            "seats", section index, "1" if accessible seats may be among them, their
--            number, their offsets
--          or
--            "best", quantity, wheelchair places among it, "1" if it may be split, number
--            of sections, and per section: index, first offset, offset after the last
--            (both equal: it is general)
-- RETURNS  "ok <id> <state> <generation> <deadline> <lines>", also for a repeat of the
--          same request, whatever the hold has become since. The id is another one if
--          the hold was granted before its stock was laid anew
--          "key_reused"                            the id has another request
--          "not_on_sale <sale>"
--          "too_often <ms until the buyer's next minute>"
--          "buyer_limit <left to the buyer>"
--          "sold_out <section> <available>"        not even apart
--          "not_together <section> <available>"    only apart
--          "seat_taken <section> <offset.offset…>"
--          "accessible <section> <offset.offset…>" kept for those who ask for them
--          "again"                                 more is due than one call may reap

-- The asks, and how many admissions they are in all.
local function read_asks(at)
  local asks, total, i = {}, 0, at + 1
  for k = 1, tonumber(ARGV[at]) do
    local ask
    if ARGV[i] == 'seats' then
      ask = {section = ARGV[i + 1], accessible = ARGV[i + 2] == '1', n = tonumber(ARGV[i + 3]), picked = {}}
      i = i + 4
      for j = 1, ask.n do ask.picked[j] = tonumber(ARGV[i]); i = i + 1 end
    else
      ask = {n = tonumber(ARGV[i + 1]), wheelchair = tonumber(ARGV[i + 2]), split = ARGV[i + 3] == '1', ranges = {}}
      local ranges = tonumber(ARGV[i + 4])
      i = i + 5
      for j = 1, ranges do
        ask.ranges[j] = {section = ARGV[i], first = tonumber(ARGV[i + 1]), stop = tonumber(ARGV[i + 2])}
        i = i + 3
      end
    end
    total = total + ask.n
    asks[k] = ask
  end
  return asks, total
end

-- Picked seats as a line, or nil and why not.
local function take_picked(ask, mine)
  local taken, kept, line = {}, {}, {section = ask.section, n = ask.n, seats = {}}
  for i, offset in ipairs(ask.picked) do
    local letter = seat(offset)
    if mine[offset] or not (letter == 'a' or letter == 'w' or letter == 'c') then
      taken[#taken + 1] = offset
    elseif letter ~= 'a' and not ask.accessible then
      kept[#kept + 1] = offset
    end
    line.seats[i] = {offset = offset, letter = letter}
  end
  if #taken > 0 then return nil, 'seat_taken ' .. ask.section .. ' ' .. concat(taken, '.') end
  if #kept > 0 then return nil, 'accessible ' .. ask.section .. ' ' .. concat(kept, '.') end
  for _, offset in ipairs(ask.picked) do mine[offset] = true end
  return line
end

-- The best available of an ask as a line, or nil and why not. used is what this hold
-- has of each section already.
local function take_best(ask, mine, used)
  local word, where, most = 'sold_out', ask.ranges[1].section, -1
  for _, range in ipairs(ask.ranges) do
    local available = count(range.section).a - (used[range.section] or 0)
    if available >= ask.n then
      if range.first == range.stop then return {section = range.section, n = ask.n, seats = {}} end
      local found = choose_in(range, ask, mine)
      if found then return {section = range.section, n = ask.n, seats = found, range = range} end
      word = 'not_together'
    end
    if available > most then where, most = range.section, available end
  end
  return nil, word .. ' ' .. where .. ' ' .. math.max(0, most)
end

-- All asks as lines, one a section, or nil and why not.
local function take(asks)
  local lines, of, mine, used = {}, {}, {}, {}
  for _, ask in ipairs(asks) do
    local got, why
    if ask.picked then got, why = take_picked(ask, mine) else got, why = take_best(ask, mine, used) end
    if not got then return nil, why end
    used[got.section] = (used[got.section] or 0) + got.n
    local line = of[got.section]
    if line then
      line.n = line.n + got.n
      line.range = nil -- more than one block of it is taken
      for _, s in ipairs(got.seats) do line.seats[#line.seats + 1] = s end
    else
      lines[#lines + 1], of[got.section] = got, got
    end
  end
  return lines
end

local function over_limit(buyer, total)
  local has = buyer_of(buyer).n
  if has + total > cap then return 'buyer_limit ' .. math.max(0, cap - has) end
end

-- One buyer's holds in a minute are limited: renewing is not keeping.
local function too_often(buyer)
  local b = buyer_of(buyer)
  if b.began + MINUTE_MS > now and b.made >= rate then
    return 'too_often ' .. string.format('%.0f', b.began + MINUTE_MS - now)
  end
end

local function lines_text(lines)
  local texts = {}
  for k, line in ipairs(lines) do
    local offsets = {}
    for i, s in ipairs(line.seats) do offsets[i] = s.letter == 'a' and s.offset or s.offset .. s.letter end
    texts[k] = #offsets > 0 and line.section .. '@' .. concat(offsets, '.') or line.section .. '*' .. line.n
  end
  return concat(texts, ',')
end

local function grant(id, buyer, print, lines, total)
  for _, line in ipairs(lines) do
    move(line.section, line.n, line.seats, 'a', 'h')
    local last = line.seats[#line.seats]
    if line.range then mind_cursors(views[line.range.first], last.offset - views[line.range.first].base + 1)
    elseif last then for _, view in pairs(views) do view.cursors = {} end end
  end
  local b = buyer_of(buyer)
  if b.began + MINUTE_MS <= now then b.began, b.made = now, 0 end
  b.made = b.made + 1
  credit(buyer, total)
  local hold = {state = 'h', generation = '1', deadline = now + hold_ms, pinned = 0, accepted = '0', buyer = buyer, print = print, lines = lines_text(lines)}
  put(id, hold)
  due[id] = hold.deadline
  return hold
end

operations.hold = function(id, at)
  local buyer, print = ARGV[at], ARGV[at + 1]
  local id, hold = find_hold(id)
  if hold then
    -- Of a hold that was kept when its stock was laid anew, the request is not known.
    if hold.buyer ~= buyer or (hold.print ~= '' and hold.print ~= print) then return 'key_reused' end
  else
    if sale ~= 'open' then return 'not_on_sale ' .. sale end
    local asks, total = read_asks(at + 2)
    local lines, why
    local function try()
      why = too_often(buyer) or over_limit(buyer, total)
      if not why then lines, why = take(asks) end
    end
    try()
    -- Before a refusal stands, whatever is due must be back in the house.
    while why and more_due do
      if reaped >= 4 * reap_most then return 'again' end
      reap()
      try()
    end
    if why then return why end
    hold = grant(id, buyer, print, lines, total)
  end
  return concat({'ok', id, hold.state, hold.generation, string.format('%.0f', hold.deadline), hold.lines}, ' ')
end
