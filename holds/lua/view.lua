-- view: the whole stock in one step, for mirrors. RETURNS what snapshot.lua gives.

return snapshot()
