-- Where there is an index to change, KEYS[2], it names the key until ARGV[4].
if KEYS[2] then enter(KEYS[2], KEYS[1], ARGV[4]) end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
return 1
