-- A server that is out of memory takes only a change that gives memory back.
if tonumber(ARGV[3]) >= redis.call('PEXPIRETIME', KEYS[1]) and #ARGV[2] * 2 > #ARGV[1] then
  return redis.error_reply('OOM the server is full and the record would not shrink')
end
