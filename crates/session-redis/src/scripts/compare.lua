-- Puts ARGV[2] in the place of ARGV[1], until ARGV[3]. 1: done, 0: the bytes are others by now, or gone.
-- pcall, because a value of another type is an answer here: it is not the one that was loaded.
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
