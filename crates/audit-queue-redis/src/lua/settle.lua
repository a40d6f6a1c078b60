#!lua flags=allow-oom
-- Takes deliveries out of the queue. A delivery is ours as long as consumer and count of deliveries are those of its receipt:
-- every new delivery counts up, so a consumer that slept cannot settle what was handed to another, or to itself again.
-- KEYS: the stream, its totals, ids of frames that wait, ids of frames settled last.
-- ARGV: consumer, ids to keep, then for each delivery: entry, count, frame id, events, internal, bytes.
-- Answers how many were not ours. One that is settled already is: the answer to the first attempt may have been lost.
local stream, totals, waiting, settled, me = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1]
local group = redis.call('EXISTS', totals) == 1
local now, lost = redis.call('TIME')[1], 0
for at = 3, #ARGV, 6 do
  local entry, id = ARGV[at], ARGV[at + 2]
  local row = group and redis.call('XPENDING', stream, 'lanes', entry, entry, 1)[1]
  if row and row[2] == me and row[4] == tonumber(ARGV[at + 1]) then
    if redis.call('XACK', stream, 'lanes', entry) == 1 then
      local suffix = ARGV[at + 4] == '1' and '_internal' or ''
      redis.call('XDEL', stream, entry)
      redis.call('HDEL', waiting, id)
      redis.call('ZADD', settled, now, id)
      redis.call('HINCRBY', totals, 'events' .. suffix, '-' .. ARGV[at + 3])
      redis.call('HINCRBY', totals, 'bytes', '-' .. ARGV[at + 5])
      if suffix ~= '' then redis.call('HINCRBY', totals, 'bytes_internal', '-' .. ARGV[at + 5]) end
    end
  elseif row or not redis.call('ZSCORE', settled, id) then
    lost = lost + 1
  end
end
redis.call('ZREMRANGEBYRANK', settled, 0, -1 - tonumber(ARGV[2]))
return lost
