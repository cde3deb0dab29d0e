-- Before a record is written: the index KEYS[1] names the key ARGV[1] until ARGV[2] at least.
-- 0: until then, else the later time that it had and keeps.
local seen = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
if seen > tonumber(ARGV[2]) then return seen end
enter(KEYS[1], ARGV[1], ARGV[2])
return 0
