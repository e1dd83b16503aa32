-- hold: take inventory for a buyer for a while, all that is asked for or nothing.
--
-- general: the same, of one general section.
--
-- ARGS     general: fingerprint of the request, section index, quantity
-- ARGS     hold: number of arguments, fingerprint of the request, number of asks, and per ask either
--            "general", section index, quantity
--          or
--            "seats", section index, "1" if accessible seats may be among them, their
--            number, their offsets
--          or
--            "best", quantity, wheelchair places among it, "1" if it may be split, number
--            of sections, and per section: index, first offset, offset after the last
--            (both equal: it is general)
-- RETURNS  "ok <id> <state> <generation> <deadline> <lines>", also for a repeat of the
--          same request, whatever the hold has become since. The id is "=" if it is the one
--          asked for; it is another one if the hold was granted before its stock was laid anew
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
    local kind = ARGV[i]
    if kind == 'general' then
      ask = {section = ARGV[i + 1], n = tonumber(ARGV[i + 2]), general = true}
      i = i + 3
    elseif kind == 'seats' then
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
      if range.first == range.stop then return {section = range.section, n = ask.n, seats = nothing} end
      local found = choose_in(range, ask, mine)
      if found then return {section = range.section, n = ask.n, seats = found} end
      word = 'not_together'
    end
    if available > most then where, most = range.section, available end
  end
  return nil, word .. ' ' .. where .. ' ' .. math.max(0, most)
end

-- Admissions of a general section as a line, or nil and why not.
local function take_general(ask, used)
  local available = count(ask.section).a - (used[ask.section] or 0)
  if available < ask.n then return nil, 'sold_out ' .. ask.section .. ' ' .. math.max(0, available) end
  return {section = ask.section, n = ask.n, seats = nothing}
end

-- All asks as lines, one a section, or nil and why not.
local function take(asks)
  local lines, of, mine, used = {}, {}, {}, {}
  for i = 1, #asks do
    local ask, got, why = asks[i], nil, nil
    if ask.general then got, why = take_general(ask, used)
    elseif ask.picked then got, why = take_picked(ask, mine) else got, why = take_best(ask, mine, used) end
    if not got then return nil, why end
    used[got.section] = (used[got.section] or 0) + got.n
    local line = of[got.section]
    if line then
      line.n = line.n + got.n
      for _, s in ipairs(got.seats) do line.seats[#line.seats + 1] = s end
    else
      lines[#lines + 1], of[got.section] = got, got
    end
  end
  return lines
end

-- Why a buyer may not have so many, nil if they may.
local function refused(buyer, total)
  local b = buyer_of(buyer)
  -- One buyer's holds in a minute are limited: renewing is not keeping.
  if b.made >= rate and b.began + MINUTE_MS > now then return 'too_often ' .. text(b.began + MINUTE_MS - now) end
  if b.n + total > cap then return 'buyer_limit ' .. text(math.max(0, cap - b.n)) end
end

local function lines_text(lines)
  local t = line_text(lines[1])
  for k = 2, #lines do t = t .. ',' .. line_text(lines[k]) end
  return t
end

local function answer(id, asked, hold)
  return 'ok ' .. (id == asked and '=' or id) .. ' ' .. hold.state .. ' ' .. hold.generation .. ' ' .. text(hold.deadline) .. ' ' .. hold.lines
end

-- What a repeat is answered, whatever the hold has become; nil if there is no such hold.
local function repeated(asked, buyer, print)
  local id, hold = find_hold(asked)
  if not hold then return nil end
  -- Of a hold that was kept when its stock was laid anew, the request is not known.
  if hold.buyer ~= buyer or (hold.print ~= '' and hold.print ~= print) then return 'key_reused' end
  return answer(id, asked, hold)
end

-- What is answered without a look at the stock: a repeat, and while the sale isn't open; else nil.
local function answered(id, buyer, print)
  local again = holds[id] and repeated(id, buyer, print)
  if again then return again end
  if sale ~= 'open' then return 'not_on_sale ' .. sale end
end

-- All that this call grants has the same deadline, and the answer of those who ask for as
-- much of a general section is the same.
local deadline = text(now + hold_ms)
local same_answers = {}

-- Writes what was granted into the book, and returns the answer.
local function grant(id, buyer, print, total, lines)
  local b = buyer_of(buyer)
  if b.began + MINUTE_MS <= now then b.began, b.made = now, 0 end
  b.made = b.made + 1
  b.n = b.n + total
  buyers_changed[buyer] = b
  local record = 'h|1|' .. deadline .. '|0|0|' .. buyer .. '|' .. print .. '|' .. lines
  holds[id], holds_changed[id], due[id] = record, nil, nil -- one of that id may have been forgotten in this call
  local n = #granted
  granted[n + 1], granted[n + 2] = id, record
  granted_ids[#granted_ids + 1] = id
  if print ~= KEYLESS then granted_tails[#granted_tails + 1] = sub(id, -26, -17) end
end

-- Asks until the answer is yes, or is no though all that is due is back in the house; or until
-- the call has worked for long, and put back something.
local function insist(try, ...)
  local got, why = try(...)
  while why and more_due do
    if reaped_holds >= 4 * reap_most or reaped_holds > reap_most and overdrawn() then return nil, 'again' end
    reap()
    got, why = try(...)
  end
  return got, why
end

local function try_general(buyer, section, n)
  local why = refused(buyer, n)
  if why then return nil, why end
  local available = count(section).a
  if available < n then return nil, 'sold_out ' .. section .. ' ' .. text(available) end
  return true
end

-- The hold that nearly everyone asks for: so many of one general section.
operations.general = function(id, buyer, at)
  local print, section = ARGV[at], ARGV[at + 1]
  local early = answered(id, buyer, print)
  if early then return early end
  local n = tonumber(ARGV[at + 2])
  local got, why = insist(try_general, buyer, section, n)
  if not got then return why end
  move(section, n, nothing, 'a', 'h')
  local lines = section .. '*' .. ARGV[at + 2]
  grant(id, buyer, print, n, lines)
  local same = same_answers[lines]
  if not same then
    same = 'ok = h 1 ' .. deadline .. ' ' .. lines
    same_answers[lines] = same
  end
  return same
end

local block_range = {} -- of the ask that is being answered; one for all, to make no garbage

local function try_block(buyer, section, n)
  local why = refused(buyer, n)
  if why then return nil, why end
  local available = count(section).a
  if available < n then return nil, 'sold_out ' .. section .. ' ' .. text(available) end
  local offset = best_block(ground_of(block_range), 'a', n, nothing)
  if offset then return offset end
  return nil, 'not_together ' .. section .. ' ' .. text(available)
end

-- The best so many together of one section.
operations.block = function(id, buyer, at)
  local print, section = ARGV[at], ARGV[at + 1]
  local early = answered(id, buyer, print)
  if early then return early end
  local n = tonumber(ARGV[at + 2])
  block_range.section, block_range.first, block_range.stop = section, tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local offset, why = insist(try_block, buyer, section, n)
  if not offset then return why end
  move(section, n, nothing, 'a', 'h')
  take_block(section, offset, n)
  local lines = section .. '@' .. text(offset)
  seats[offset], seats_changed[offset] = 'h', true
  for o = offset + 1, offset + n - 1 do
    seats[o], seats_changed[o] = 'h', true
    lines = lines .. '.' .. text(o)
  end
  grant(id, buyer, print, n, lines)
  return 'ok = h 1 ' .. deadline .. ' ' .. lines
end

-- The lines that a buyer may have, or nil and why not.
local function try_asks(buyer, asks, total)
  local why = refused(buyer, total)
  if why then return nil, why end
  return take(asks)
end

operations.hold = function(id, buyer, at)
  local print = ARGV[at]
  local early = answered(id, buyer, print)
  if early then return early end
  local asks, total = read_asks(at + 1)
  local lines, why = insist(try_asks, buyer, asks, total)
  if not lines then return why end
  for k = 1, #lines do move(lines[k].section, lines[k].n, lines[k].seats, 'a', 'h') end
  local written = lines_text(lines)
  grant(id, buyer, print, total, written)
  return 'ok = h 1 ' .. deadline .. ' ' .. written
end
