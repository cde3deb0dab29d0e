-- The first ARGV[1] bytes of each record; false where there is none, whatever else there is.
local heads = {}
for i, key in ipairs(KEYS) do
  local head = redis.pcall('GETRANGE', key, 0, ARGV[1] - 1)
  -- Of what is not there GETRANGE gives as little as of an empty record.
  heads[i] = type(head) == 'string' and (head ~= '' or redis.call('EXISTS', key) == 1) and head
end
return heads
