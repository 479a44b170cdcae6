-- Recompute held amounts and running requests of scopes from the holds, and correct differences.
--
-- KEYS  holds, scopes
-- ARGV  tag, maximum number of holds, then names of scopes
-- Returns [tag, OK, now, (scope, field, was, should be)…], or [tag, GONE, now] if there are more
-- holds than the maximum; then nothing is changed.
local tag = ARGV[1]
if call('HLEN', holds) > tonumber(ARGV[2]) then return {tag, GONE, now} end

local truth = {}
for i = 3, #ARGV do truth[ARGV[i]] = {c = 0} end

local function add(fields, field, number)
  fields[field] = (fields[field] or 0) + number
end

local packed = call('HVALS', holds)
for n = 1, #packed do
  local progress, rest = open_hold(packed[n])
  local amounts, _, checks = open_rest(rest)
  local q = 0
  for i = 1, #checks do
    local fields = truth[checks[i][SCOPE]]
    if fields and progress[PHASE] == RUNNING then add(fields, 'c', 1) end
    for j = 1, #checks[i][QUOTAS] do
      q = q + 1
      if fields then add(fields, 'h:' .. checks[i][QUOTAS][j][FIELD], amounts[q]) end
    end
  end
end

local answer = {tag, OK, now}
local function repair(scope, field, was, should)
  call('HSET', scope_prefix .. scope, field, whole(should))
  local n = #answer
  answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4] = scope, field, whole(was), whole(should)
end

for i = 3, #ARGV do
  local scope = ARGV[i]
  local key, fields = scope_prefix .. scope, truth[scope]
  local there, busy = call('HGETALL', key), fields.c > 0
  for at = 1, #there, 2 do
    local field, was = there[at], tonumber(there[at + 1])
    if field == 'c' or string.sub(field, 1, 2) == 'h:' then
      local should = fields[field] or 0
      fields[field] = nil
      if was ~= should then repair(scope, field, was, should) end
    end
  end
  for field, should in pairs(fields) do
    if should ~= 0 then repair(scope, field, 0, should) end
  end
  local lives_ms = call('PTTL', key)
  if lives_ms == -2 then
    call('SREM', KEYS[2], scope)
  elseif lives_ms == -1 or (busy and lives_ms < IDLE_MS / 2) then
    call('PEXPIREAT', key, whole(floor(now / 1000) + IDLE_MS))
  end
end
return answer
