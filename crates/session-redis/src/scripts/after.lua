-- After a record was written: ARGV[2] takes the place of the later time ARGV[3], unless somebody else has moved the entry
-- to a later time meanwhile.
local seen = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
if seen == tonumber(ARGV[3]) or seen < tonumber(ARGV[2]) then enter(KEYS[1], ARGV[1], ARGV[2]) end
return 1
