#!lua flags=allow-oom
-- Keeps a snapshot and trims the log up to its place; never one that is older than the one that is kept, or of another log.
-- KEYS: the state, its log, its snapshot.
-- ARGV: name of the state, place, mark of the entry there, the snapshot.
-- Answers 1 when it is kept, 0 when whoever made it has to begin from the kept one.
local state, log, snapshot = KEYS[1], KEYS[2], KEYS[3]
local kept = redis.call('HMGET', snapshot, 'at', 'mark')
if redis.call('HGET', state, 'name') ~= ARGV[1] or not kept[1] then return 0 end
local at, first = tonumber(ARGV[2]), tonumber(kept[1])
if at < first or (at == first and kept[2] ~= ARGV[3]) then return 0 end
if at > first then
  local entry = redis.call('XRANGE', log, ARGV[2] .. '-0', ARGV[2] .. '-0')[1]
  if not entry or entry[2][2] ~= ARGV[3] then return 0 end
  local next = string.format('%.0f', at + 1)
  redis.call('HSET', state, 'first', next, 'trimmed', entry[2][4])
  redis.call('XTRIM', log, 'MINID', next .. '-0')
end
redis.call('HSET', snapshot, 'at', ARGV[2], 'mark', ARGV[3], 'bytes', ARGV[4])
return 1
