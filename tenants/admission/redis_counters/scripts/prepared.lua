-- A cache of decoded checks for `admit`, with the field names of their reads and writes. Most calls
-- repeat the same checks. Values of one call are stored in them too; `admit` sets them before use.
local MAX_PREPARED = 2000
local prepared, prepared_count = {}, 0

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
  -- Checks of old windows stay in the cache; clearing all is cheaper than tracking their use.
  if prepared_count >= MAX_PREPARED then prepared, prepared_count = {}, 0 end
  prepared[packed], prepared_count = checks, prepared_count + 1
  return checks
end
