-- Stripes: a section's stock spread over several books, each in a slot of its own. It
-- moves from one to another in two calls, one at each:
--
--   lend     takes admissions out of this book, and writes down how many it has lent
--            to that stripe, ever
--   borrow   brings into this book what was ever lent to it, less what has ever come
--
-- Both sums only grow. So a step may be lost, repeated or overtaken, and be made by
-- anyone: what is lent and not borrowed is under way, and comes with the next borrow.
-- Source: Balegas et al., "Extending Eventually Consistent Cloud Databases for
-- Enforcing Numeric Invariants", SRDS 2015, which calls it a bounded counter.
--
-- For it meta has "share:N", what this book was laid with of section N, and the ledgers
-- "lent:N" and "borrowed:N", each "stripe=admissions,…". Its counts of a section add up to
-- share - lent + borrowed.
--
-- ARGS     spare: section, how many are wanted
-- RETURNS  "ok <epoch> <available,held,pinned,sold> <share> <lent> <borrowed>", after all
--          that is due was put back, or enough of it; "again" if that is more than one
--          call may reap
--
-- ARGS     lend: section, the most to lend, to which stripe
-- RETURNS  "ok <epoch> <lent to it, ever>"
--
-- ARGS     borrow: section, from which stripe, what it has lent here, ever, and in which epoch
-- RETURNS  "ok", "stale" (that was another epoch: the sums have begun anew)

local function ledger(field)
  local l = ledgers[field]
  if not l then
    l = {}
    for stripe, n in gmatch(call('HGET', META, field) or '', '(%d+)=(%d+)') do l[stripe] = tonumber(n) end
    ledgers[field] = l
  end
  return l
end

local function ledger_text(l)
  local parts = {}
  for stripe, n in pairs(l) do parts[#parts + 1] = stripe .. '=' .. text(n) end
  return concat(parts, ',')
end

-- Writes into a ledger, and into the section's counts, that n have come, or gone if n is negative.
local function enter(field, stripe, total, section, n)
  ledgers[field][stripe] = total
  local c = count(section)
  c.a = c.a + n
  counts_changed[section], ledgers_changed[field] = true, true
end

local function try_spare(section, n)
  if count(section).a >= n then return true end
  return nil, 'short'
end

operations.spare = function(_, _, at)
  local section = ARGV[at]
  local _, why = insist(try_spare, section, tonumber(ARGV[at + 1]))
  if why == 'again' then return why end
  local c = count(section)
  return 'ok ' .. ARGV[1] .. ' ' .. text(c.a) .. ',' .. text(c.h) .. ',' .. text(c.p) .. ',' .. text(c.s) .. ' ' ..
    call('HGET', META, 'share:' .. section) .. ' ' .. ledger_text(ledger('lent:' .. section)) .. ' ' .. ledger_text(ledger('borrowed:' .. section))
end

operations.lend = function(_, _, at)
  local section, to = ARGV[at], ARGV[at + 2]
  local field = 'lent:' .. section
  local n, total = math.min(tonumber(ARGV[at + 1]), count(section).a), ledger(field)[to] or 0
  if n > 0 then
    total = total + n
    enter(field, to, total, section, -n)
  end
  return 'ok ' .. ARGV[1] .. ' ' .. text(total)
end

operations.borrow = function(_, _, at)
  if ARGV[at + 3] ~= ARGV[1] then return 'stale' end
  local section, from, total = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local field = 'borrowed:' .. section
  local had = ledger(field)[from] or 0
  if total > had then enter(field, from, total, section, total - had) end
  return 'ok'
end
