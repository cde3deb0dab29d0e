-- Returns 0, which means refused, unless the record KEYS[1] still has the bytes ARGV[1].
-- pcall: a value of another type is not the record that was loaded, so it is refused and no error.
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
