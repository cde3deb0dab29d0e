-- Moves the end of a record to ARGV[1]. 1: done, 0: no record; other types and what never expires are not ours.
if redis.call('TYPE', KEYS[1]).ok ~= 'string' or redis.call('PTTL', KEYS[1]) < 0 then return 0 end
return redis.call('PEXPIREAT', KEYS[1], ARGV[1])
