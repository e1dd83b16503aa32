-- hold: take inventory for a buyer for a while, all lines or nothing.
--
-- ARGS     id, buyer, fingerprint of the request's body, number of lines, and per
--          line: section index, quantity, number of seats, the seats' offsets
-- RETURNS  "ok <id> <state> <generation> <deadline>" also for a repeat of the same
--          request, whatever the hold has become since. The id is another one if the
--          hold was granted before its stock was laid anew
--          "key_reused"                       the id has another body
--          "not_on_sale <sale>"
--          "buyer_limit <left to the buyer>"
--          "sold_out <section> <available>"
--          "seat_taken <section> <offset.offset…>"
--          "again"                            more is due than one call may reap

-- Why the lines can't be had now, or nil.
local function refusal(lines)
  for i = 1, #lines do
    local line = lines[i]
    local taken = {}
    for j = 1, #line.offsets do
      if seat(line.offsets[j]) ~= 'a' then taken[#taken + 1] = line.offsets[j] end
    end
    if #taken > 0 then return 'seat_taken ' .. line.section .. ' ' .. concat(taken, '.') end
    local available = count(line.section).a
    if available < line.n then return 'sold_out ' .. line.section .. ' ' .. available end
  end
end

local function over_limit(buyer, total)
  local has = bought_by(buyer)
  if has + total > cap then return 'buyer_limit ' .. math.max(0, cap - has) end
end

local function read_lines(at)
  local lines, texts, total = {}, {}, 0
  local i = at + 1
  for k = 1, tonumber(ARGV[at]) do
    local line = {section = ARGV[i], n = tonumber(ARGV[i + 1]), offsets = {}}
    local picked = tonumber(ARGV[i + 2])
    i = i + 3
    for j = 1, picked do line.offsets[j] = tonumber(ARGV[i]); i = i + 1 end
    total = total + line.n
    lines[k] = line
    texts[k] = picked > 0 and line.section .. '@' .. concat(line.offsets, '.') or line.section .. '*' .. line.n
  end
  return lines, concat(texts, ','), total
end

operations.hold = function(id, at)
  local buyer, print = ARGV[at], ARGV[at + 1]
  local id, hold = find_hold(id)
  if hold then
    -- Of a hold that was kept when its stock was laid anew, the request is not known.
    if hold.buyer ~= buyer or (hold.print ~= '' and hold.print ~= print) then return 'key_reused' end
    return concat({'ok', id, hold.state, hold.generation, string.format('%.0f', hold.deadline)}, ' ')
  end
  if sale ~= 'open' then return 'not_on_sale ' .. sale end

  local lines, text, total = read_lines(at + 2)
  local why = over_limit(buyer, total) or refusal(lines)
  -- Before a refusal stands, whatever is due must be back in the house.
  while why and more_due do
    if reaped >= 4 * reap_most then return 'again' end
    reap()
    why = over_limit(buyer, total) or refusal(lines)
  end
  if why then return why end

  for i = 1, #lines do move(lines[i].section, lines[i].n, lines[i].offsets, 'a', 'h') end
  credit(buyer, total)
  hold = {state = 'h', generation = '1', deadline = now + hold_ms, pinned = 0, accepted = '0', buyer = buyer, print = print, lines = text}
  put(id, hold)
  due[id] = hold.deadline
  return concat({'ok', id, 'h', '1', string.format('%.0f', hold.deadline)}, ' ')
end
