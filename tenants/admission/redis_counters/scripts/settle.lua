-- Settle requests of one tenant whose usage is in PostgreSQL: remove their holds, store new totals.
--
-- KEYS  holds, expiries, scopes
-- ARGV  tag, settlements [id, true rate tokens], states [scope, field, used, granted, version]
-- Returns [tag, OK, now, number of removed holds]. Idempotent, and independent of the order.
local expiries, scopes_key, tag = KEYS[2], KEYS[3], ARGV[1]
local settlements, states = open(ARGV[2]), open(ARGV[3])

-- Returns the correction of a token rate, in microseconds, from the estimate to the actual tokens.
-- At most the burst was charged.
local function true_up(scope, took, estimated, actual)
  if took == NOTHING or actual == NOTHING then return 0 end
  if actual > estimated then
    return ceil(actual * scope[TOKEN_US]) - ceil(estimated * scope[TOKEN_US])
  end
  return min(ceil(actual * scope[TOKEN_US]), scope[TOKEN_BURST]) - took
end

-- The changes of each scope are summed first, so that its hash is read and written once.
local changes = {}
local function change_of(scope)
  local change = changes[scope[SCOPE]]
  if not change then
    change = {ended = 0, tokens = 0, burst = 0, amounts = {}}
    changes[scope[SCOPE]] = change
  end
  return change
end

local function add_up(progress, amounts, taken, checks, actual)
  local q = 0
  for i = 1, #checks do
    local scope = checks[i]
    local change = change_of(scope)
    if progress[PHASE] == RUNNING then change.ended = change.ended + 1 end
    change.tokens = change.tokens + true_up(scope, taken[i], progress[RATE_TOKENS], actual)
    change.burst = max(change.burst, scope[TOKEN_BURST])
    local its = scope[QUOTAS]
    for j = 1, #its do
      q = q + 1
      local field = its[j][FIELD]
      change.amounts[field] = (change.amounts[field] or 0) + amounts[q]
    end
  end
end

local function apply(key, change)
  local names, values = {'c', 'tt'}, {}
  for field in pairs(change.amounts) do names[#names + 1] = 'h:' .. field end
  local before = call('HMGET', key, unpack(names))
  values[1], values[2] = 'c', whole(max(0, tonumber(before[1] or 0) - change.ended))
  if change.tokens ~= 0 then
    local arrival = max(tonumber(before[2] or 0), now) + change.tokens
    values[3], values[4] = 'tt', whole(min(arrival, now + 2 * change.burst))
  end
  for n = 3, #names do
    local left = tonumber(before[n] or 0) - change.amounts[string.sub(names[n], 3)]
    values[#values + 1], values[#values + 2] = names[n], whole(max(0, left))
  end
  call('HSET', key, unpack(values))
end

local removed = 0
for i = 1, #settlements do
  local id, actual = settlements[i][1], settlements[i][2]
  local packed = call('HGET', holds, id)
  -- Only the call that removes the hold releases its amounts, so a second settlement has no effect.
  if packed and call('HDEL', holds, id) == 1 then
    removed = removed + 1
    call('ZREM', expiries, id)
    local progress, rest = open_hold(packed)
    local amounts, taken, checks = open_rest(rest)
    add_up(progress, amounts, taken, checks, actual)
  end
end
for scope, change in pairs(changes) do apply(scope_prefix .. scope, change) end

-- A counter that Redis lost is not created here but by a seed: a missing counter is not zero. Only
-- its version is stored, so that a seed with an older state is rejected.
for i = 1, #states do
  local scope, field, used, granted, version = unpack(states[i])
  local key = scope_prefix .. scope
  local known = call('HMGET', key, 'u:' .. field, 'v:' .. field)
  if tonumber(known[2] or -1) < version then
    if known[1] then
      call('HSET', key, 'u:' .. field, whole(used), 'g:' .. field, whole(granted),
        'v:' .. field, whole(version))
    else
      call('HSET', key, 'v:' .. field, whole(version))
      call('SADD', scopes_key, scope)
      if call('PTTL', key) < 0 then call('PEXPIREAT', key, whole(floor(now / 1000) + IDLE_MS)) end
    end
  end
end
return {tag, OK, now, removed}
