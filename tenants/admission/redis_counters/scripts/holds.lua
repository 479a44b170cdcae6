-- What all scripts share: exact numbers, and the shape of a hold. It stands before each of them.
--
-- Each script is a function of Redis, in a library of its own: what stands here is worked out once,
-- when the library is loaded, and `begin` sets what is different for each call. Nothing of Lua's own
-- libraries is there while a library loads.
--
-- KEYS[1] is always the tenant's `…:holds`. A hold knows the scopes of its own request, which no
-- caller can name beforehand, so the keys of scopes are made from that prefix: the same hash tag,
-- hence the same slot, which is all that a cluster asks of a key that was not declared.
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

-- As an argument a whole number below 2^53 is written exactly; only a concatenation makes 1.7e+15
-- of it. And "-0" is no integer to HINCRBY: 0 added makes it one.
local function whole(number)
  return number + 0
end

-- Places in a ScopeCheck and a QuotaCheck (checks.py), which arrive as arrays.
local SCOPE, REQUEST_US, REQUEST_BURST, TOKEN_US, TOKEN_BURST, CONCURRENCY, ENFORCED, QUOTAS =
  1, 2, 3, 4, 5, 6, 7, 8
local FIELD, START, END, LIMIT, HARD, PER_REQUEST, PER_PROMPT, PER_COMPLETION, PER_CACHED =
  1, 2, 3, 4, 5, 6, 7, 8, 12

-- A hold is MessagePack: [progress, amounts, taken, checks, facts]. Checks and facts never change
-- and are copied as they came. `progress` is what the heartbeat rewrites; `amounts` is what is held
-- of each quota; `taken` the microseconds that each scope's token rate was charged, or NOTHING.
local PHASE, GRANTED, ASKED_PROMPT, RATE_TOKENS, PROMPT, COMPLETION, CACHED, ESTIMATED =
  1, 2, 3, 4, 5, 6, 7, 8
local NOTHING = -1
local ARRAY_OF_FIVE = '\149'

local function put_hold(id, progress, rest)
  call('HSET', holds, id, ARRAY_OF_FIVE .. pack(progress) .. rest)
end

-- The progress of a packed hold, and everything after it, still packed.
local function open_hold(packed)
  local after, progress = cmsgpack.unpack_one(packed, 1)
  return progress, string.sub(packed, after + 1)
end

-- What comes after the progress: amounts, taken, checks.
local function open_rest(rest)
  local at, amounts, taken, checks
  at, amounts = cmsgpack.unpack_one(rest, 0)
  at, taken = cmsgpack.unpack_one(rest, at)
  local from = at
  at, checks = cmsgpack.unpack_one(rest, at)
  return amounts, taken, checks, string.sub(rest, from + 1)
end

-- The same sum as QuotaCheck.amount.
local function amount(quota, prompt, completion, cached)
  local millionths = quota[PER_REQUEST] + (prompt - cached) * quota[PER_PROMPT]
    + cached * (quota[PER_CACHED] or quota[PER_PROMPT]) + completion * quota[PER_COMPLETION]
  return ceil(millionths / MILLION)
end

-- The longest completion, at most `wanted`, whose amount is at most `room`; negative: none is.
-- The product with `room` is only made where it is smaller than another amount, so below 2^53.
local function affordable(quota, room, prompt, wanted)
  if amount(quota, prompt, wanted, 0) <= room then return wanted end
  local per_token = quota[PER_COMPLETION]
  if per_token == 0 then return -1 end
  return floor((room * MILLION - quota[PER_REQUEST] - prompt * quota[PER_PROMPT]) / per_token)
end

-- A scope's hash lives as long as it is used: until well after its last window has ended. It is
-- told only where it wakes from idleness, and by the reconciler: while it is busy, it is young.
local function keep_alive(key, quotas)
  local last = now / 1000
  for i = 1, #quotas do last = max(last, quotas[i][END] * 1000) end
  call('PEXPIREAT', key, whole(floor(last) + IDLE_MS))
end

-- Count one more or one fewer running request in each scope; never below none.
local function count_running(checks, change)
  for i = 1, #checks do
    local key = scope_prefix .. checks[i][SCOPE]
    if call('HINCRBY', key, 'c', change) < 0 then call('HSET', key, 'c', 0) end
  end
end

-- Holds whose worker did not renew them: their slot is free, what they hold stays held until they
-- are billed. Otherwise others could spend it between the expiry and the bill.
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
