-- The best available: seats that touch, chosen in the seat string's own order, which
-- is that of how good the seats are.
--
-- A block is found by a substring search, in C. Found from the left it begins where
-- a run of available seats begins, so taking it can leave an orphan, a lone single
-- seat, only at its right, and only of a run that is one seat longer. Such runs are
-- passed over unless there is no other, or the event allows orphans.
--
-- A section is read once a call, however many holds are chosen in it, and before a
-- block size's cursor nothing of that size is left. A batch of holds so goes through
-- the section once, not once each: what a hold costs stays flat as the house fills.

-- The section's seats as this call has read them. What it has changed since lies
-- over them in `seats`; seats that came back are laid into the text here, once for
-- all who look next.
local function view_of(range)
  local view = views[range.first]
  if not view then
    view = {base = range.first - 1, text = call('GETRANGE', SEATS, range.first, range.stop - 1), cursors = {},
      stale = next(seats_changed) ~= nil} -- what came back before it was read isn't written yet
    views[range.first] = view
  end
  if view.stale then
    local changed, parts, from = {}, {}, 1
    for offset in pairs(seats_changed) do
      local i = offset - view.base
      if i >= 1 and i <= #view.text then changed[#changed + 1] = i end
    end
    table.sort(changed)
    for _, i in ipairs(changed) do
      parts[#parts + 1] = sub(view.text, from, i - 1)
      parts[#parts + 1] = seats[view.base + i]
      from = i + 1
    end
    parts[#parts + 1] = sub(view.text, from)
    view.text, view.cursors, view.stale = concat(parts), {}, nil
  end
  return view
end

local nothing = {}

-- The letter at a place of the view, as this call has it; those of `mine` are taken.
local function letter_at(view, i, mine)
  if mine[view.base + i] then return 'h' end
  return seats[view.base + i] or sub(view.text, i, i)
end

-- The place of the first block of the pattern's letters, from a place on; nil if there is none.
local function find_block(view, pattern, from, mine, avoid_orphans)
  local n, at = #pattern, from
  while true do
    local p = find(view.text, pattern, at, true)
    if not p then return nil end
    local taken
    for i = p + n - 1, p, -1 do
      if letter_at(view, i, mine) ~= sub(pattern, i - p + 1, i - p + 1) then taken = i; break end
    end
    if taken then
      at = taken + 1
    elseif avoid_orphans and letter_at(view, p + n, mine) == 'a' and letter_at(view, p + n + 1, mine) ~= 'a' then
      at = p + n + 1
    else
      return p
    end
  end
end

-- find_block from the cursor of this pattern on. A hold that has chosen seats already
-- looks from the start: what they leave of a run is behind no cursor yet.
local function next_block(view, pattern, mine, avoid_orphans)
  if next(mine) then return find_block(view, pattern, 1, mine, avoid_orphans) end
  local key = avoid_orphans and pattern or pattern .. '!'
  local p = find_block(view, pattern, view.cursors[key] or 1, mine, avoid_orphans)
  view.cursors[key] = p or #view.text + 1
  return p
end

-- The best block that leaves no orphan or, if there is none, any.
local function best_block(view, pattern, mine)
  return avoid_orphans and next_block(view, pattern, mine, true) or next_block(view, pattern, mine, false)
end

-- After a block was taken, the cursor that found it moves behind it. What is left of its
-- run may suit another size, whose cursor is further on: it is set back to it.
local function mind_cursors(view, start, stop)
  for key, at in pairs(view.cursors) do
    if at >= start and at < stop then
      view.cursors[key] = stop
    elseif at > stop then
      local alone = sub(key, -1) == '!' -- a size for which orphans don't matter
      local n, left = alone and #key - 1 or #key, 0
      while left < n + 2 and letter_at(view, stop + left, nothing) == 'a' do left = left + 1 end
      if left == n or left == n + 2 or (alone and left > n) then view.cursors[key] = stop end
    end
  end
end

local function note(view, p, n, found, mine)
  for i = p, p + n - 1 do
    local offset = view.base + i
    found[#found + 1] = {offset = offset, letter = letter_at(view, i, nothing)}
    mine[offset] = true
  end
end

-- Blocks of ever smaller sizes, where n together can't be had.
local function find_split(view, n, letter, found, mine)
  local size = n
  while n > 0 do
    size = math.min(size, n)
    local p = size > 0 and find_block(view, rep(letter, size), 1, mine, false)
    if p then
      note(view, p, size, found, mine)
      n = n - size
    elseif size <= 1 then
      return false
    else
      size = size - 1
    end
  end
  return true
end

-- Chooses an ask's seats in one section. Returns them, or nil; `mine` then holds no more than before.
local function choose_in(range, ask, mine)
  local view, n, w = view_of(range), ask.n, ask.wheelchair
  local found = {}
  local p
  if w == 0 then
    p = best_block(view, rep('a', n), mine)
  else
    local places, companions = rep('w', w), rep('c', n - w)
    p = find_block(view, places .. companions, 1, mine, false) or find_block(view, companions .. places, 1, mine, false)
  end
  if p then
    note(view, p, n, found, mine)
    return found
  end
  if not ask.split then return nil end
  local done
  if w == 0 then done = find_split(view, n, 'a', found, mine)
  else done = find_split(view, w, 'w', found, mine) and find_split(view, n - w, 'c', found, mine) end
  if done then return found end
  for i = 1, #found do mine[found[i].offset] = nil end
  return nil
end
