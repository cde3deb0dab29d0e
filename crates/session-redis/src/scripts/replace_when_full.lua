#!lua flags=allow-oom
-- Like replace.lua for a server that is out of memory, which only a change that gives memory back may pass.
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local ends_sooner = tonumber(ARGV[3]) < redis.call('PEXPIRETIME', KEYS[1])
local halves = #ARGV[2] * 2 <= #ARGV[1]
if not ends_sooner and not halves then
  return redis.error_reply('OOM the server is full and the record would not shrink')
end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
return 1
