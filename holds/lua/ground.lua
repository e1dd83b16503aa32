-- A section's ground: its seats, as this call sees them, read a window at a time and
-- only where something may be had.
--
-- What a search has learned it leaves for the next call: a trail, a digit for each
-- window, which is 0 once no block of the trail's kind begins there. Seats that change
-- hands open the windows again in which a block may begin by that. So one hold reads a
-- window or two, however large the section and however full, and a batch reads each
-- window once.
--
-- KEPT IN  meta, "f:<section index>" = "first stop kind=digits kind=digits …"; a kind is
--          a letter, how many of it, and "!" if orphans don't matter. No such field, kind
--          or digit means that nothing is known.

local WINDOW = 2048  -- seats whose blocks one window has
local REACH = 104    -- seats it shows beyond them: the longest block, and what may be left of its run
local LARGEST = 8    -- the largest block whose trail is kept; where it doesn't fit no larger one does

local grounds = {} -- by section
local nothing = {}

local function new_trail(ground, letter, n, tidy, open)
  local pattern = rep(letter, n)
  local trail = {pattern = pattern, n = n, run = letter, tidy = tidy, open = open, kept = n <= LARGEST}
  ground.trails[#ground.trails + 1] = trail
  ground[tidy and 'tidy' or 'any'][pattern] = trail
  return trail
end

-- The trail of blocks of n seats with a letter; tidy ones leave no orphan.
local function trail_of(ground, letter, n, tidy)
  local trail = ground[tidy and 'tidy' or 'any'][rep(letter, n)]
  if trail then return trail end
  local smaller = n > LARGEST and ground.any[rep(letter, LARGEST)] -- where it doesn't fit this one doesn't
  return new_trail(ground, letter, n, tidy, smaller and smaller.open or rep('1', ground.windows))
end

-- A section as the calls before have left it. Without its first and last place: nil if
-- they have left nothing.
local function recall(section, first, stop)
  local known = call('HGET', META, 'f:' .. section)
  if known then
    first, stop = match(known, '^(%d+) (%d+)')
  elseif not first then
    return nil
  end
  local ground = {first = tonumber(first), stop = tonumber(stop), trails = {}, tidy = {}, any = {},
    views = {}, changes = {}, caught = 0} -- views and changes: by window, from 0
  ground.windows = floor((ground.stop - ground.first - 1) / WINDOW) + 1
  for letter, n, any, open in gmatch(known or '', ' (%a)(%d+)(!?)=(%d+)') do
    new_trail(ground, letter, tonumber(n), any == '', open)
  end
  grounds[section] = ground
  return ground
end

-- The windows that show seats at these places, counted from the section's first, or have
-- blocks that may begin by their change.
local function windows_of(ground, from, to)
  return math.max(0, floor((from - REACH) / WINDOW)), math.min(ground.windows - 1, floor((to + 1) / WINDOW))
end

local function is_shut(trail, i) return sub(trail.open, i + 1, i + 1) == '0' end

local function set_open(ground, trail, i, digit)
  trail.open = sub(trail.open, 1, i) .. digit .. sub(trail.open, i + 2)
  ground.learned = ground.learned or trail.kept
end

-- Keeps a change for the windows that show it: they lay it when they are looked at.
local function keep_change(ground, low, high, offset, letters)
  for i = low, high do
    local changes = ground.changes[i]
    if not changes then
      changes = {}
      ground.changes[i] = changes
    end
    local n = #changes
    changes[n + 1], changes[n + 2] = offset, letters
  end
end

local function lay(view, changes)
  for k = view.laid + 1, #changes, 2 do
    local letters, i = changes[k + 1], changes[k] - view.base
    if i < 1 then letters, i = sub(letters, 2 - i), 1 end
    letters = sub(letters, 1, math.max(0, #view.text - i + 1))
    view.text = sub(view.text, 1, i - 1) .. letters .. sub(view.text, i + #letters)
  end
  view.laid = #changes
end

-- A window's seats, for who follows a trail: the one before it, its own, and those within
-- reach. What was taken on the trail lies behind it, and isn't laid for who goes on from there.
local function view_of(ground, i, trail, goes_on)
  local view, changes = ground.views[i], ground.changes[i]
  if not view then
    local from = ground.first + i * WINDOW - 1
    local text = call('GETRANGE', SEATS, math.max(0, from), math.min(from + WINDOW + REACH, ground.stop - 1))
    view = {base = from - 1, text = from < 0 and '|' .. text or text, at = {}, laid = 0}
    ground.views[i] = view
  end
  if changes and view.laid < #changes and not (goes_on and view.reader == trail and view.at[trail]) then lay(view, changes) end
  view.reader = trail
  return view
end

-- What was left of a run may be a block of another size, whose trail is further on.
local function open_rest(ground, from, place)
  local i, left = floor(place / WINDOW), nil
  local view = ground.views[i]
  for _, trail in ipairs(ground.trails) do
    local shut, at = is_shut(trail, i), view and place + ground.first - view.base
    if trail.run == 'a' and (shut or view and (view.at[trail] or 0) > at) then
      if not left then
        local begin = place + ground.first - from.base
        left = (find(from.text, '[^a]', begin) or #from.text + 1) - begin
      end
      if left == trail.n or left >= trail.n + 2 or (left > trail.n and not trail.tidy) then
        if shut then set_open(ground, trail, i, '1') end
        if view then view.at[trail] = not shut and at or nil end
      end
    end
  end
end

-- Takes the block that a trail has just found: it begins where its run begins, so only what
-- is left of the run is new.
local function take_block(section, offset, n)
  local ground = grounds[section]
  local place = offset - ground.first
  local i = floor(place / WINDOW)
  local view, low, high = ground.views[i], i, i
  if place - i * WINDOW < REACH or place + n - i * WINDOW >= WINDOW then low, high = windows_of(ground, place, place + n - 1) end
  keep_change(ground, low, high, offset, rep('h', n))
  view.at[view.reader] = offset + n - view.base
  open_rest(ground, view, place + n)
end

-- Takes over what has changed in the midst of the section's runs since it was last looked
-- at: blocks may begin anew all around.
local function catch_up(ground, changes)
  for k = ground.caught + 1, #changes, 2 do
    local offset, letter = changes[k], changes[k + 1]
    local low, high = windows_of(ground, offset - ground.first, offset - ground.first)
    keep_change(ground, low, high, offset, letter)
    for i = low, high do
      for _, trail in ipairs(ground.trails) do
        if is_shut(trail, i) then set_open(ground, trail, i, '1') end
      end
      if ground.views[i] then ground.views[i].at = {} end
    end
  end
  ground.caught = #changes
end

local function ground_of(range)
  local section = range.section
  local ground, changes = grounds[section] or recall(section, range.first, range.stop), changes_of[section]
  if changes and #changes > ground.caught then catch_up(ground, changes) end
  return ground
end

-- What is known of all sections that this call has learned of, as HSET takes it.
local function lessons()
  for section, changes in pairs(changes_of) do
    local ground = grounds[section] or recall(section)
    if ground then catch_up(ground, changes) end
  end
  local fields = {}
  for section, ground in pairs(grounds) do
    if ground.learned then
      local parts = {text(ground.first) .. ' ' .. text(ground.stop)}
      for _, trail in ipairs(ground.trails) do
        if trail.kept then parts[#parts + 1] = trail.run .. trail.n .. (trail.tidy and '=' or '!=') .. trail.open end
      end
      fields[#fields + 1] = 'f:' .. section
      fields[#fields + 1] = concat(parts, ' ')
    end
  end
  return fields
end
