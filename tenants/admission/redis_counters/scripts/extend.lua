-- Grant a running request more completion tokens, as far as its hard quotas allow.
--
-- KEYS  holds
-- ARGV  request id, numbers
-- Returns [id, OK, now, total granted], [id, GONE, now], [id, LATE, now]
--   or [id, COLD, now, (scope, quota)…] with indices into the checks.
local id = ARGV[1]
local wanted, deadline = unpack(open(ARGV[2]))
if now > deadline then return {id, LATE, now} end
local packed = call('HGET', holds, id)
if not packed then return {id, GONE, now} end
local progress, rest = open_hold(packed)
if progress[PHASE] ~= RUNNING then return {id, GONE, now} end
local amounts, taken, checks, unchanged = open_rest(rest)

local allowed, held, q, cold = wanted, {}, 0, {id, COLD, now}
for i = 1, #checks do
  local key, its = scope_prefix .. checks[i][SCOPE], checks[i][QUOTAS]
  for j = 1, #its do
    q = q + 1
    local quota = its[j]
    local field = quota[FIELD]
    local values = call('HMGET', key, 'u:' .. field, 'g:' .. field, 'h:' .. field)
    if not values[1] then
      cold[#cold + 1], cold[#cold + 2] = i, j
    end
    held[q] = tonumber(values[3] or 0)
    if quota[HARD] then
      local others = tonumber(values[1] or 0) + held[q] - amounts[q]
      local room = quota[LIMIT] + tonumber(values[2] or 0) - others
      allowed = min(allowed, affordable(quota, room, progress[REQUESTED_PROMPT], wanted))
    end
  end
end
if #cold > 3 then return cold end
-- A grant is not reduced, even if the limit was lowered since.
if allowed <= progress[GRANTED] then return {id, OK, now, progress[GRANTED]} end

q = 0
for i = 1, #checks do
  local its = checks[i][QUOTAS]
  for j = 1, #its do
    q = q + 1
    local takes = amount(its[j], progress[REQUESTED_PROMPT], allowed, 0)
    call('HSET', scope_prefix .. checks[i][SCOPE], 'h:' .. its[j][FIELD],
      whole(held[q] + takes - amounts[q]))
    amounts[q] = takes
  end
end
progress[GRANTED] = allowed
put_hold(id, progress, pack(amounts) .. pack(taken) .. unchanged)
return {id, OK, now, allowed}
