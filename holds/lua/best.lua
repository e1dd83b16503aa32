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

-- The best n seats with a letter that touch. Those that leave no orphan, if the event
-- minds and there are such, or else any.
local function best_block(ground, letter, n, mine)
  if n > LARGEST and not next_block(ground, trail_of(ground, letter, LARGEST, false), mine) then return nil end
  return letter == 'a' and avoid_orphans and next_block(ground, trail_of(ground, letter, n, true), mine) or
    next_block(ground, trail_of(ground, letter, n, false), mine)
end

-- Wheelchair places with their companions beside them.
local function accessible_block(ground, w, c, mine)
  local first = best_block(ground, 'w', 1, nothing)
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

-- How many seats with a letter the longest run has that begins in a window: at the most so many.
local function longest_run(view, letter, most, mine)
  if not find(view.text, letter, 2, true) then return 0 end
  local n, at = 0, begin_of(view, {run = letter}, mine)
  while n < most do
    at = find_block(view, {pattern = rep(letter, n + 1), n = n + 1}, at, mine)
    if not at then break end
    n = n + 1
  end
  return n
end

-- The first window from one on that has a run of a size; nil if there is none. `longest`
-- remembers what each has.
local function window_with(ground, size, letter, from, longest, near, mine)
  local single = trail_of(ground, letter, 1, false)
  for i = from, ground.windows - 1 do
    local n = longest[i]
    if not n then
      n = 0
      if near[i] or not is_shut(single, i) then
        n = longest_run(view_of(ground, i, single), letter, size, mine)
        if n == 0 and not near[i] then set_open(ground, single, i, '0') end
      end
      longest[i] = n
    end
    if n >= size then return i end
  end
  return nil
end

-- Blocks of ever smaller sizes, where n together can't be had. The section is gone through
-- once for what its windows have, and again only from where that has changed.
local function find_split(ground, n, letter, found, mine)
  local size, from, longest, near = n, 0, {}, {}
  for i in pairs(windows_near(ground, mine)) do near[i] = i end
  while n > 0 do
    if n < size then size, from = n, 0 end
    local i = window_with(ground, size, letter, from, longest, near, mine)
    if i then
      local view = ground.views[i]
      local trail = {pattern = rep(letter, size), n = size, run = letter}
      local p = view.base + find_block(view, trail, begin_of(view, trail, mine), mine)
      note(p, trail.pattern, found, mine)
      n = n - size
      local low, high = windows_of(ground, p - ground.first, p - ground.first + size - 1)
      for k = low, high do longest[k], near[k] = nil, k end
      from = low
    else
      local most = 0
      for k = 0, ground.windows - 1 do most = math.max(most, longest[k]) end
      if most == 0 then return false end
      size, from = most, 0
    end
  end
  return true
end

-- Chooses an ask's seats in one section. Returns them, or nil; `mine` then holds no more than before.
local function choose_in(range, ask, mine)
  local ground, n, w = ground_of(range), ask.n, ask.wheelchair
  local found, p, pattern = {}, nil, nil
  local chosen = next(mine) and mine or nothing
  if w == 0 then p, pattern = best_block(ground, 'a', n, chosen), rep('a', n)
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
