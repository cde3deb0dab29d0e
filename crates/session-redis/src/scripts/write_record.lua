-- Writes the record ARGV[2] to KEYS[1] until ARGV[3]. If there is an index KEYS[2], makes it name
-- the key until ARGV[4]. Returns 1, which means stored.
if KEYS[2] then set_entry(KEYS[2], KEYS[1], ARGV[4]) end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
return 1
