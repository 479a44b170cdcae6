-- Apply the heartbeat of one worker for many requests of one tenant.
--
-- KEYS  holds, expiries, scopes
-- ARGV  tag, numbers, then for each request: id, numbers, checks, facts (packed)
-- Returns [tag, OK, now, number of restored holds] or [tag, LATE, now].
local expiries, scopes_key, tag = KEYS[2], KEYS[3], ARGV[1]
local lease, ended_lease, deadline = unpack(open(ARGV[2]))

-- A delayed heartbeat could restore holds that have been settled since.
if now > deadline then return {tag, LATE, now} end

local function hold_more(checks, amounts, before)
  local q = 0
  for i = 1, #checks do
    local key = scope_prefix .. checks[i][SCOPE]
    local its = checks[i][QUOTAS]
    for j = 1, #its do
      q = q + 1
      local change = amounts[q] - (before and before[q] or 0)
      if call('HINCRBY', key, 'h:' .. its[j][FIELD], whole(change)) < 0 then
        call('HSET', key, 'h:' .. its[j][FIELD], 0)
      end
    end
  end
end

local function amounts_of(checks, prompt, completion, cached)
  local amounts = {}
  for i = 1, #checks do
    local its = checks[i][QUOTAS]
    for j = 1, #its do amounts[#amounts + 1] = amount(its[j], prompt, completion, cached) end
  end
  return amounts
end

-- A running request holds its grant, an ended one its usage.
local function amounts_now(checks, progress)
  if progress[PHASE] == ENDED then
    return amounts_of(checks, progress[PROMPT], progress[COMPLETION], progress[CACHED])
  end
  return amounts_of(checks, progress[REQUESTED_PROMPT], progress[GRANTED], 0)
end

-- Restore a hold that Redis lost from the worker's copy. Token rates are not charged again.
local function restore(id, progress, packed_checks, facts)
  local checks = open(packed_checks)
  local amounts, taken = amounts_now(checks, progress), {}
  for i = 1, #checks do
    taken[i] = NOTHING
    call('SADD', scopes_key, checks[i][SCOPE])
  end
  if progress[PHASE] == RUNNING then count_running(checks, 1) end
  hold_more(checks, amounts)
  for i = 1, #checks do keep_alive(scope_prefix .. checks[i][SCOPE], checks[i][QUOTAS]) end
  put_hold(
    id, progress,
    pack(amounts) .. pack(taken) .. packed_checks .. facts
  )
end

-- End a request: its concurrency is released, and it holds its usage instead of its grant.
local function finish(id, progress, was, rest)
  local before, taken, checks, unchanged = open_rest(rest)
  local amounts = amounts_now(checks, progress)
  if was == RUNNING then count_running(checks, -1) end
  hold_more(checks, amounts, before)
  put_hold(id, progress, pack(amounts) .. pack(taken) .. unchanged)
end

local restored = 0
for at = 3, #ARGV, 4 do
  local id = ARGV[at]
  local progress = open(ARGV[at + 1])
  local phase, packed = progress[PHASE], call('HGET', holds, id)
  if not packed then
    restored = restored + 1
    restore(id, progress, ARGV[at + 2], ARGV[at + 3])
  else
    local was, rest = open_hold(packed)
    -- The response to an extension may have been lost: then Redis has the larger grant.
    progress[GRANTED] = max(progress[GRANTED], was[GRANTED])
    if was[PHASE] == ENDED then
      phase = ENDED
    elseif phase == ENDED then
      finish(id, progress, was[PHASE], rest)
    else
      if was[PHASE] == ORPHANED then
        local _, _, checks = open_rest(rest)
        count_running(checks, 1)
      end
      put_hold(id, progress, rest)
    end
  end
  call('ZADD', expiries, whole(now + (phase == ENDED and ended_lease or lease)), id)
end
return {tag, OK, now, restored}
