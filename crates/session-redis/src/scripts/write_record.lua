-- Writes the record ARGV[2] to KEYS[1] until ARGV[3]. Makes each index, which are the other keys,
-- name the key until ARGV[4]. Returns 1, which means stored.
for index = 2, #KEYS do set_entry(KEYS[index], KEYS[1], ARGV[4]) end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
return 1
