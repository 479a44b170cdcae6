-- Reap the expired holds of a tenant that has no requests which would do it.
--
-- KEYS  holds, expiries, orphans
-- ARGV  tag, how many at most
-- Answers [tag, OK, now, how many].
return {ARGV[1], OK, now, reap(KEYS[2], KEYS[3], tonumber(ARGV[2]))}
