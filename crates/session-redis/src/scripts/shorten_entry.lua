-- Runs after a record was written. Moves the entry from the later time ARGV[3] to ARGV[2], unless
-- another writer has moved it to a later time meanwhile.
local current = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
if current == tonumber(ARGV[3]) or current < tonumber(ARGV[2]) then
  set_entry(KEYS[1], ARGV[1], ARGV[2])
end
return 1
