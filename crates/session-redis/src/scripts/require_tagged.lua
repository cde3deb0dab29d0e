-- Returns 0, which means refused, unless the record KEYS[1] still begins with ARGV[1], as no other
-- record does. pcall: a value of another type is refused and no error.
if redis.pcall('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then return 0 end
