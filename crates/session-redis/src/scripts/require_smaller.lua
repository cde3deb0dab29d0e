-- A server that is out of memory accepts a change only if the record then expires sooner or takes
-- less space. The end of a session that was near its end lasts longer, but has no data. A record
-- that was written by IFEQ expires up to a second after its time.
if tonumber(ARGV[3]) >= redis.call('PEXPIRETIME', KEYS[1]) - 1000 and
    #ARGV[2] >= redis.call('STRLEN', KEYS[1]) then
  return redis.error_reply('OOM the server is out of memory and the change would not free any: ' ..
    'raise maxmemory')
end
