-- Load counters from PostgreSQL. Only this script creates counters.
--
-- KEYS  holds, scopes
-- ARGV  tag, states [scope, field, used, granted, version]
-- Returns [tag, OK, now, indices of outdated states…]; the caller reads those again.
local scopes_key, tag = KEYS[2], ARGV[1]
local states = open(ARGV[2])
local DAY = 24 * 3600 * MILLION

-- Delete windows that ended more than a day ago and have no holds; PostgreSQL stores their totals.
local function sweep(key)
  local fields, last = call('HKEYS', key), now
  for i = 1, #fields do
    local field, ends = string.match(fields[i], '^[uvgh]:(.+:%d+%-(%d+))$')
    if field then
      last = max(last, ends * MILLION)
      if ends * MILLION < now - DAY and tonumber(call('HGET', key, 'h:' .. field) or 0) == 0 then
        call('HDEL', key, 'u:' .. field, 'v:' .. field, 'g:' .. field, 'h:' .. field)
      end
    end
  end
  if #fields > 0 then call('PEXPIREAT', key, whole(floor(last / 1000) + IDLE_MS)) end
end

local answer, touched = {tag, OK, now}, {}
for i = 1, #states do
  local scope, field, used, granted, version = unpack(states[i])
  local key = scope_prefix .. scope
  local known = call('HMGET', key, 'u:' .. field, 'v:' .. field)
  local newest = tonumber(known[2] or -1)
  if newest < version or (newest == version and not known[1]) then
    call('HSET', key, 'u:' .. field, whole(used), 'g:' .. field, whole(granted),
      'v:' .. field, whole(version))
    call('SADD', scopes_key, scope)
    touched[key] = true
  elseif not known[1] then
    answer[#answer + 1] = i
  end
end
for key in pairs(touched) do sweep(key) end
return answer
