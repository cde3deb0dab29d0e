-- Makes the owner's index name `key` until `time`, and removes up to 256 entries whose time has
-- passed. The limit keeps the write short. The time is Redis's own, which also decides when records
-- and the index expire. The index expires with its last entry.
local function set_entry(index, key, time)
  redis.call('ZADD', index, time, key)
  local now = redis.call('TIME')
  now = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
  local passed = redis.call('ZCOUNT', index, '-inf', '(' .. now)
  if passed > 0 then redis.call('ZREMRANGEBYRANK', index, 0, math.min(passed, 256) - 1) end
  local last = redis.call('ZREVRANGE', index, 0, 0, 'WITHSCORES')[2]
  if last then redis.call('PEXPIREAT', index, string.format('%.0f', tonumber(last))) end
end
