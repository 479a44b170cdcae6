-- Admit one request: all scopes are checked before any is written (admission.md, "Admit").
--
-- KEYS  holds, expiries, orphans, denied, scopes, then the hash of each scope
-- ARGV  checks, request id, numbers, facts (packed)
-- Returns [id, OK, now, granted, statuses…, violations in shadow mode…],
--   [id, REFUSED, now, statuses…, violation], [id, WINDOW, now], [id, LATE, now],
--   or [id, COLD, now, (scope, quota)…] with indices into the checks.
local REQUESTS, TOKENS, RUNNING_AT_ONCE, QUOTA, TENANT_DENIED, KEY_DENIED = 1, 2, 3, 4, 5, 6
local MAX_REAPED = 16
local SHORTLY = 1000 * 1000
local NEVER = 1 / 0

local expiries, scopes_key, id, facts = KEYS[2], KEYS[5], ARGV[2], ARGV[4]
local key_id, prompt, wanted, min_grant, rate_tokens, lease, deadline =
  unpack(open(ARGV[3]))

-- The call was delayed, and its caller has timed out.
if now > deadline then return {id, LATE, now} end

local checks = prepared[ARGV[1]] or prepare(ARGV[1])
reap(expiries, KEYS[3], MAX_REAPED)

-- Read all scopes.
local cold, moved = {}, false
for i = 1, #checks do
  local scope = checks[i]
  local its = scope[QUOTAS]
  local values = call('HMGET', KEYS[5 + i], unpack(scope.reads))
  scope.is_new, scope.running = not values[1], tonumber(values[1] or 0)
  -- A GCRA arrival time further ahead than the burst means that the clock was set back. For tokens
  -- one more burst is allowed: responses may have been longer than estimated.
  scope.request_tat = min(max(tonumber(values[2] or 0), now), now + scope[REQUEST_BURST])
  scope.token_tat = min(max(tonumber(values[3] or 0), now), now + 2 * scope[TOKEN_BURST])
  for j = 1, #its do
    local quota, at = its[j], 3 * j
    if now < quota[START] * MILLION or now >= quota[END] * MILLION then moved = true end
    if not values[at + 1] then
      cold[#cold + 1], cold[#cold + 2] = i, j
    end
    quota.used, quota.extra = tonumber(values[at + 1] or 0), tonumber(values[at + 2] or 0)
    quota.held = tonumber(values[at + 3] or 0)
  end
end

local function add_statuses(answer)
  local n = #answer
  for i = 1, #checks do
    local scope = checks[i]
    local its = scope[QUOTAS]
    local ahead, tokens_ahead = scope.request_tat - now, scope.token_tat - now
    local left, tokens_left = 0, 0
    if scope[REQUEST_US] > 0 then left = (scope[REQUEST_BURST] - ahead) / scope[REQUEST_US] end
    if scope[TOKEN_US] > 0 then
      tokens_left = max(0, scope[TOKEN_BURST] - tokens_ahead) / scope[TOKEN_US]
    end
    answer[n + 1], answer[n + 2] = floor(left), ceil(ahead / 1000)
    answer[n + 3], answer[n + 4] = floor(tokens_left), ceil(tokens_ahead / 1000)
    n = n + 4
    for j = 1, #its do
      local quota = its[j]
      answer[n + 1], answer[n + 2], answer[n + 3] = quota[LIMIT] + quota.extra, quota.used, quota.held
      n = n + 3
    end
  end
  return answer
end

-- The wait is rounded up to milliseconds; -1: not known. The last value is the end of the window
-- that must end, 0: none.
local function add_violation(answer, violation)
  local n, wait = #answer, violation[4]
  answer[n + 1], answer[n + 2], answer[n + 3] = violation[1], violation[2], violation[3]
  answer[n + 4] = wait == NEVER and -1 or ceil(wait / 1000)
  answer[n + 5] = violation[5]
  return answer
end

-- A known id is a repeated call whose first response was lost: the response is the same.
local known = call('HGET', holds, id)
if known then
  local progress, rest = open_hold(known)
  if progress[PHASE] == ORPHANED then
    count_running(checks, 1)
    progress[PHASE] = RUNNING
    put_hold(id, progress, rest)
  end
  if progress[PHASE] == RUNNING then call('ZADD', expiries, now + lease, id) end
  return add_statuses({id, OK, now, progress[GRANTED]})
end

if moved then return {id, WINDOW, now} end
if call('EXISTS', KEYS[4]) == 1 then
  local why = call('HMGET', KEYS[4], 'tenant', 'key:' .. key_id)
  if why[1] or why[2] then
    local reason = why[1] and TENANT_DENIED or KEY_DENIED
    return add_violation(add_statuses({id, REFUSED, now}), {reason, 0, 0, NEVER, 0})
  end
end
if #cold > 0 then
  local answer = {id, COLD, now}
  for i = 1, #cold do answer[3 + i] = cold[i] end
  return answer
end

-- Check all scopes; nothing is written before all have passed.
local worst, shadowed = nil, {}
local function note_violation(enforced, reason, i, j, wait, resets_at)
  local found = {reason, i, j, wait, resets_at}
  if not enforced then
    shadowed[#shadowed + 1] = found
  elseif not worst or wait > worst[4] then
    worst = found
  end
end

local function room_of(quota)
  return quota[LIMIT] + quota.extra - quota.used - quota.held
end

-- A quota that is full only because of holds may have room at any time, a used one when its window
-- ends, and a request larger than the limit of a whole window never fits.
local function note_quota_violation(enforced, quota, i, j)
  if affordable(quota, quota[LIMIT] + quota.extra - quota.used, prompt, min_grant) >= min_grant then
    note_violation(enforced, QUOTA, i, j, SHORTLY, 0)
  elseif affordable(quota, quota[LIMIT], prompt, min_grant) >= min_grant then
    note_violation(enforced, QUOTA, i, j, quota[END] * MILLION - now, quota[END])
  else
    note_violation(enforced, QUOTA, i, j, NEVER, 0)
  end
end

local granted = wanted
for i = 1, #checks do
  local scope = checks[i]
  local its, enforced = scope[QUOTAS], scope[ENFORCED]
  if scope[CONCURRENCY] > 0 and scope.running >= scope[CONCURRENCY] then
    note_violation(enforced, RUNNING_AT_ONCE, i, 0, SHORTLY, 0)
  end
  scope.next_request = scope.request_tat
  if scope[REQUEST_US] > 0 then
    local arrival = scope.request_tat + scope[REQUEST_US]
    if arrival - now <= scope[REQUEST_BURST] then
      scope.next_request = arrival
    else
      note_violation(enforced, REQUESTS, i, 0, arrival - scope[REQUEST_BURST] - now, 0)
    end
  end
  scope.next_token, scope.taken = scope.token_tat, NOTHING
  if scope[TOKEN_US] > 0 then
    -- A cost above the burst would never pass, so it is capped at the burst.
    local cost = min(ceil(rate_tokens * scope[TOKEN_US]), scope[TOKEN_BURST])
    local arrival = scope.token_tat + cost
    if arrival - now <= scope[TOKEN_BURST] then
      scope.next_token, scope.taken = arrival, cost
    else
      note_violation(enforced, TOKENS, i, 0, arrival - scope[TOKEN_BURST] - now, 0)
    end
  end
  for j = 1, #its do
    local quota = its[j]
    if quota[HARD] then
      local allowed = affordable(quota, room_of(quota), prompt, wanted)
      if allowed < min_grant then note_quota_violation(true, quota, i, j) end
      granted = min(granted, allowed)
    end
  end
end
if worst then return add_violation(add_statuses({id, REFUSED, now}), worst) end

-- Write all scopes.
local amounts, taken, q = {}, {}, 0
for i = 1, #checks do
  local scope = checks[i]
  local its, writes, n = scope[QUOTAS], scope.writes, 2
  scope.request_tat, scope.token_tat = scope.next_request, scope.next_token
  taken[i] = scope.taken
  writes[2] = scope.running + 1
  if scope[REQUEST_US] > 0 then
    n = n + 2
    writes[n] = scope.request_tat
  end
  if scope[TOKEN_US] > 0 then
    n = n + 2
    writes[n] = scope.token_tat
  end
  for j = 1, #its do
    local quota = its[j]
    local takes = amount(quota, prompt, granted, 0)
    if not quota[HARD] and takes > room_of(quota) then note_quota_violation(false, quota, i, j) end
    quota.held = quota.held + takes
    q, n = q + 1, n + 2
    amounts[q], writes[n] = takes, quota.held
  end
  local key = KEYS[5 + i]
  call('HSET', key, unpack(writes))
  if scope.is_new then call('SADD', scopes_key, scope[SCOPE]) end
  if scope.running == 0 then keep_alive(key, its) end
end
put_hold(
  id,
  {RUNNING, granted, prompt, rate_tokens, 0, 0, 0, true},
  pack(amounts) .. pack(taken) .. ARGV[1] .. facts
)
call('ZADD', expiries, now + lease, id)

local answer = add_statuses({id, OK, now, granted})
for i = 1, #shadowed do add_violation(answer, shadowed[i]) end
return answer
