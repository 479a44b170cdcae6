-- Reap the expired holds of a tenant; `admit` does it only while the tenant has requests.
--
-- KEYS  holds, expiries, orphans
-- ARGV  tag, maximum number
-- Returns [tag, OK, now, number of reaped holds].
return {ARGV[1], OK, now, reap(KEYS[2], KEYS[3], tonumber(ARGV[2]))}
