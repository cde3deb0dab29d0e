-- Runs before a record is written. Makes the index KEYS[1] name the key ARGV[1] until ARGV[2] at
-- least. Returns 0 if the entry now has this time. Returns the entry's time if that is later: then
-- the entry stays as it is.
local current = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
if current > tonumber(ARGV[2]) then return current end
set_entry(KEYS[1], ARGV[1], ARGV[2])
return 0
