-- Checks as `admit` works with them. The same ones come again and again, so they are unpacked once,
-- with the names of their fields made ready; and each has places for what one call finds out, which
-- `admit` fills before it reads them.
local MAX_PREPARED = 2000
local prepared, how_many = {}, 0

local function prepare(packed)
  local checks = open(packed)
  for i = 1, #checks do
    local scope = checks[i]
    local reads, writes, its = {'c', 'tr', 'tt'}, {'c', 0}, scope[QUOTAS]
    if scope[REQUEST_US] > 0 then writes[3], writes[4] = 'tr', 0 end
    if scope[TOKEN_US] > 0 then
      local n = #writes
      writes[n + 1], writes[n + 2] = 'tt', 0
    end
    for j = 1, #its do
      local field, at, n = its[j][FIELD], 3 * j, #writes
      reads[at + 1], reads[at + 2], reads[at + 3] = 'u:' .. field, 'g:' .. field, 'h:' .. field
      writes[n + 1], writes[n + 2] = 'h:' .. field, 0
    end
    scope.reads, scope.writes = reads, writes
  end
  -- Old windows leave checks behind; making them anew now and then is cheaper than an order.
  if how_many >= MAX_PREPARED then prepared, how_many = {}, 0 end
  prepared[packed], how_many = checks, how_many + 1
  return checks
end
