#!lua flags=no-writes
-- Which active jobs are locked by us. KEYS[1]: the queue's `meta`. ARGV: base, what our tokens begin with.
-- Answers id and token of each, oldest first.
local base, ours, out = ARGV[1], ARGV[2], {}
local active = redis.call('LRANGE', base .. 'active', 0, -1)
for at = #active, 1, -1 do
  local lock = redis.call('GET', base .. active[at] .. ':lock')
  if lock and string.sub(lock, 1, #ours) == ours then out[#out + 1] = {active[at], lock} end
end
return out
