-- Puts ARGV[2] where nothing is, until ARGV[3]; ARGV[1] is not looked at. 1: done, 0: the key is taken.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
