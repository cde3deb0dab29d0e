-- Returns 0, which means refused, if there is anything under KEYS[1]. ARGV[1] is not used.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
