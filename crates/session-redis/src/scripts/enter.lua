-- Lets the index name a key until an instant, and removes some of the entries whose time has passed: few enough that
-- no write waits for them. Redis's own clock decides, as it does of records and of the index, which ends with its last entry.
local function enter(index, key, time)
  redis.call('ZADD', index, time, key)
  local now = redis.call('TIME')
  now = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
  local passed = redis.call('ZCOUNT', index, '-inf', '(' .. now)
  if passed > 0 then redis.call('ZREMRANGEBYRANK', index, 0, math.min(passed, 256) - 1) end
  local last = redis.call('ZREVRANGE', index, 0, 0, 'WITHSCORES')[2]
  if last then redis.call('PEXPIREAT', index, string.format('%.0f', tonumber(last))) end
end
