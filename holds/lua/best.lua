-- The best available: seats that touch, chosen in the seat string's own order, which
-- is that of how good the seats are.
--
-- A block is found by a substring search, in C. Found from the left it begins where
-- a run of available seats begins, so taking it can leave an orphan, a lone single
-- seat, only at its right, and only of a run that is one seat longer. Such runs are
-- passed over unless there is no other, or the event allows orphans.
--
-- What one hold has chosen already is in `mine`; the ground doesn't know of it yet.

local byte = string.byte
local A = byte('a')

local function letter_at(view, i, mine)
  if mine[view.base + i] then return 'h' end
  return sub(view.text, i, i)
end

-- Where a window's first block may begin: a run that began before it is another window's.
local function begin_of(view, trail, mine)
  local i = 2
  if trail.run and letter_at(view, 1, mine) == trail.run then
    while letter_at(view, i, mine) == trail.run do i = i + 1 end
  end
  return i
end

-- Whether a lone single seat stands at a place, beside a block.
local function leaves_orphan(view, i, mine)
  if mine ~= nothing then return letter_at(view, i, mine) == 'a' and letter_at(view, i + 1, mine) ~= 'a' end
  local one, other = byte(view.text, i, i + 1)
  return one == A and other ~= A
end

-- The place in a window of the trail's first block, from a place on; nil if there is none.
local function find_block(view, trail, from, mine)
  local pattern, n, at = trail.pattern, trail.n, from
  while true do
    local p, taken = find(view.text, pattern, at, true), nil
    if not p or p > WINDOW + 1 then return nil end
    if mine ~= nothing then
      for i = p + n - 1, p, -1 do
        if mine[view.base + i] then taken = i; break end
      end
    end
    if taken then
      at = taken + 1
    elseif trail.tidy and leaves_orphan(view, p + n, mine) then
      at = p + n + 1
    else
      return p
    end
  end
end

-- The windows in which a hold's own choice has left runs that no trail knows of.
local function windows_near(ground, mine)
  if mine == nothing then return nothing end
  local near = {}
  for offset in pairs(mine) do
    if offset >= ground.first and offset < ground.stop then
      local low, high = windows_of(ground, offset - ground.first, offset - ground.first)
      for i = low, high do near[i] = true end
    end
  end
  return near
end

-- The next window that may have a block of the trail, from one on.
local function next_window(trail, from, near)
  local i = find(trail.open, '1', from + 1, true)
  i = i and i - 1
  if near == nothing then return i end
  for k in pairs(near) do
    if k >= from and (not i or k < i) then i = k end
  end
  return i
end

-- The offset of the trail's first block; nil if there is none.
local function next_block(ground, trail, mine)
  local near = windows_near(ground, mine)
  local i = next_window(trail, 0, near)
  while i do
    local view = view_of(ground, i, trail, not near[i])
    local p = find_block(view, trail, not near[i] and view.at[trail] or begin_of(view, trail, mine), mine)
    if not near[i] then
      view.at[trail] = p
      if not p then set_open(ground, trail, i, '0') end
    end
    if p then return view.base + p end
    i = next_window(trail, i + 1, near)
  end
  return nil
end

-- The first n seats with a letter that touch, orphans or not.
local function any_block(ground, letter, n, mine)
  if n > LARGEST and not next_block(ground, trail_of(ground, letter, LARGEST, false), mine) then return nil end
  return next_block(ground, trail_of(ground, letter, n, false), mine)
end

-- The best block that leaves no orphan or, if there is none, any.
local function best_block(ground, n, mine)
  return avoid_orphans and next_block(ground, trail_of(ground, 'a', n, true), mine) or any_block(ground, 'a', n, mine)
end

-- Wheelchair places with their companions beside them.
local function accessible_block(ground, w, c, mine)
  local first = any_block(ground, 'w', 1, nothing)
  if not first then return nil end
  local shut = math.max(0, floor((first - c - ground.first) / WINDOW))
  for _, pattern in ipairs({rep('w', w) .. rep('c', c), rep('c', c) .. rep('w', w)}) do
    local trail = {pattern = pattern, n = w + c, open = rep('0', shut) .. rep('1', ground.windows - shut)}
    local p = next_block(ground, trail, mine)
    if p then return p, pattern end
  end
  return nil
end

local function note(p, pattern, found, mine)
  for i = 1, #pattern do
    found[#found + 1] = {offset = p + i - 1, letter = sub(pattern, i, i)}
    mine[p + i - 1] = true
  end
end

-- The largest block of at the most so many: its offset and size; nil if there is none.
-- Where a size fits all smaller ones do, so it takes few looks.
local function largest_block(ground, letter, most, mine)
  local low, high, best = 0, most, nil
  local size = most
  while low < high do
    local p = any_block(ground, letter, size, mine)
    if p then low, best = size, p else high = size - 1 end
    size = math.ceil((low + high) / 2)
  end
  return best, low
end

-- Blocks of ever smaller sizes, where n together can't be had.
local function find_split(ground, n, letter, found, mine)
  local size = n
  while n > 0 do
    local p
    p, size = largest_block(ground, letter, math.min(size, n), mine)
    if not p then return false end
    note(p, rep(letter, size), found, mine)
    n = n - size
  end
  return true
end

-- Chooses an ask's seats in one section. Returns them, or nil; `mine` then holds no more than before.
local function choose_in(range, ask, mine)
  local ground, n, w = ground_of(range), ask.n, ask.wheelchair
  local found, p, pattern = {}, nil, nil
  local chosen = next(mine) and mine or nothing
  if w == 0 then p, pattern = best_block(ground, n, chosen), rep('a', n)
  else p, pattern = accessible_block(ground, w, n - w, chosen) end
  if p then
    note(p, pattern, found, mine)
    return found
  end
  if not ask.split then return nil end
  local done
  if w == 0 then done = find_split(ground, n, 'a', found, mine)
  else done = find_split(ground, w, 'w', found, mine) and find_split(ground, n - w, 'c', found, mine) end
  if done then return found end
  for i = 1, #found do mine[found[i].offset] = nil end
  return nil
end
