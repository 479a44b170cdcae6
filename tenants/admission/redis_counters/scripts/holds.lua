-- The shared part of all scripts: exact numbers and the format of a hold. It precedes each script.
--
-- Each script is a Redis function in its own library: this part is evaluated once, when the library
-- is loaded, and `begin` sets the values of each call. While a library is loaded, the libraries of
-- Lua and Redis are not available.
--
-- KEYS[1] is always the tenant's `…:holds`. The scopes of a request are stored in its hold, so a
-- caller cannot declare their keys; these are built from the prefix of KEYS[1]. They have the same
-- hash tag and hence the same slot, which is sufficient for undeclared keys in a cluster.
local call, pack, open, ceil, floor, max, min
local MILLION = 1000000
local OK, REFUSED, WINDOW, COLD, LATE, GONE = 1, 2, 3, 4, 5, 6
local RUNNING, ENDED, ORPHANED = 0, 1, 2
local IDLE_MS = 40 * 24 * 3600 * 1000

local holds, scope_prefix, now

local function begin(keys)
  if not call then
    call, pack, open = redis.call, cmsgpack.pack, cmsgpack.unpack
    ceil, floor, max, min = math.ceil, math.floor, math.max, math.min
  end
  holds = keys[1]
  scope_prefix = string.sub(holds, 1, -6) .. 'scope:'
  local time = call('TIME')
  now = time[1] * MILLION + time[2]
end

-- Redis writes an argument that is a whole number below 2^53 exactly; a concatenation would write
-- 1.7e+15. HINCRBY rejects "-0" as an integer, and adding 0 makes it 0.
local function whole(number)
  return number + 0
end

-- Indices into a ScopeCheck and a QuotaCheck (checks.py), which are encoded as arrays.
local SCOPE, REQUEST_US, REQUEST_BURST, TOKEN_US, TOKEN_BURST, CONCURRENCY, ENFORCED, QUOTAS =
  1, 2, 3, 4, 5, 6, 7, 8
local FIELD, START, END, LIMIT, HARD, PER_REQUEST, PER_PROMPT, PER_COMPLETION, PER_CACHED =
  1, 2, 3, 4, 5, 6, 7, 8, 12

-- A hold is MessagePack: [progress, amounts, taken, checks, facts]. Checks and facts never change
-- and are copied without decoding. `progress` is rewritten by heartbeats; `amounts` has the amount
-- held of each quota; `taken` has the microseconds charged to each scope's token rate, or NOTHING.
local PHASE, GRANTED, REQUESTED_PROMPT, RATE_TOKENS, PROMPT, COMPLETION, CACHED, ESTIMATED =
  1, 2, 3, 4, 5, 6, 7, 8
local NOTHING = -1
local ARRAY_OF_FIVE = '\149'

local function put_hold(id, progress, rest)
  call('HSET', holds, id, ARRAY_OF_FIVE .. pack(progress) .. rest)
end

-- Returns the progress of a packed hold, and the rest, still packed.
local function open_hold(packed)
  local after, progress = cmsgpack.unpack_one(packed, 1)
  return progress, string.sub(packed, after + 1)
end

-- Returns amounts, taken and checks of the rest of a hold, and checks and facts still packed.
local function open_rest(rest)
  local at, amounts, taken, checks
  at, amounts = cmsgpack.unpack_one(rest, 0)
  at, taken = cmsgpack.unpack_one(rest, at)
  local from = at
  at, checks = cmsgpack.unpack_one(rest, at)
  return amounts, taken, checks, string.sub(rest, from + 1)
end

-- The same formula as QuotaCheck.amount.
local function amount(quota, prompt, completion, cached)
  local millionths = quota[PER_REQUEST] + (prompt - cached) * quota[PER_PROMPT]
    + cached * (quota[PER_CACHED] or quota[PER_PROMPT]) + completion * quota[PER_COMPLETION]
  return ceil(millionths / MILLION)
end

-- Returns the longest completion, at most `wanted`, whose amount is at most `room`; negative: none.
-- `room` is multiplied only if it is smaller than the amount computed before, so below 2^53.
local function affordable(quota, room, prompt, wanted)
  if amount(quota, prompt, wanted, 0) <= room then return wanted end
  local per_token = quota[PER_COMPLETION]
  if per_token == 0 then return -1 end
  return floor((room * MILLION - quota[PER_REQUEST] - prompt * quota[PER_PROMPT]) / per_token)
end

-- Set the expiry of a scope's hash, IDLE_MS after its last window ends. Set when a request starts
-- while none is running, and by the reconciler, so a busy scope never expires.
local function keep_alive(key, quotas)
  local last = now / 1000
  for i = 1, #quotas do last = max(last, quotas[i][END] * 1000) end
  call('PEXPIREAT', key, whole(floor(last) + IDLE_MS))
end

-- Add `change` to the running requests of each scope, at least to 0.
local function count_running(checks, change)
  for i = 1, #checks do
    local key = scope_prefix .. checks[i][SCOPE]
    if call('HINCRBY', key, 'c', change) < 0 then call('HSET', key, 'c', 0) end
  end
end

-- Mark holds as orphaned whose worker did not renew them. Their concurrency is released, but their
-- amounts stay held until they are billed: other requests must not use them before that.
local function reap(expiries, orphans, most)
  local expired = call('ZRANGE', expiries, '-inf', whole(now), 'BYSCORE', 'LIMIT', 0, most)
  for i = 1, #expired do
    local id = expired[i]
    call('ZREM', expiries, id)
    local packed = call('HGET', holds, id)
    if packed then
      local progress, rest = open_hold(packed)
      if progress[PHASE] == RUNNING then
        local _, _, checks = open_rest(rest)
        count_running(checks, -1)
      end
      progress[PHASE] = ORPHANED
      put_hold(id, progress, rest)
      call('XADD', orphans, '*', 'id', id)
    end
  end
  return #expired
end
