-- Puts ARGV[1] under KEYS[1] until ARGV[2], named by the index KEYS[2] until ARGV[3]. 1: done, 0: the key is taken.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
enter(KEYS[2], KEYS[1], ARGV[3])
redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2])
return 1
