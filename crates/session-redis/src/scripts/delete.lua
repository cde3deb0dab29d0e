-- Removes a record, and leaves alone what is none: other types, and what never expires.
if redis.call('TYPE', KEYS[1]).ok ~= 'string' or redis.call('PTTL', KEYS[1]) < 0 then return 0 end
return redis.call('DEL', KEYS[1])
