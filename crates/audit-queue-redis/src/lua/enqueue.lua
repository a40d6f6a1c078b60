#!lua
-- Puts one frame in, unless it is known or would pass the mark. Refused by Redis before its first line when memory is full.
-- KEYS: the stream, its totals, ids of frames that wait, ids of frames settled last.
-- ARGV: frame id, events, 1 when they are our own, frame, mark of events, mark of bytes.
-- Answers {1} when it is in now, {0} when it was known, {-1, events, bytes} when full.
local stream, totals, waiting, settled = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, events, internal, frame = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', ARGV[4]
local version = redis.call('HGET', totals, 'version')
if not version then
  redis.call('XGROUP', 'CREATE', stream, 'lanes', '0', 'MKSTREAM')
  redis.call('HSET', totals, 'version', '1')
elseif version ~= '1' then
  return redis.error_reply('FORMAT the queue has format ' .. version .. ', newer than this program')
end
if redis.call('HEXISTS', waiting, id) == 1 or redis.call('ZSCORE', settled, id) then
  return {0}
end
local suffix = internal and '_internal' or ''
local t = redis.call('HMGET', totals, 'enqueued' .. suffix, 'events' .. suffix, 'bytes', 'bytes_internal')
local enqueued, waits = tonumber(t[1] or 0), tonumber(t[2] or 0)
local bytes, own = tonumber(t[3] or 0), tonumber(t[4] or 0)
if not internal then
  -- One frame always fits into an empty queue, else it never would.
  local over = waits + events > tonumber(ARGV[5]) or bytes - own + #frame > tonumber(ARGV[6])
  if over and (waits > 0 or bytes > own) then
    return {-1, waits, bytes}
  end
end
local entry = redis.call('XADD', stream, '*', 'id', id, 'n', ARGV[2], 'i', ARGV[3], 'f', frame)
redis.call('HSET', waiting, id, entry)
-- Whole numbers below 2^53 are exact in Lua.
local function whole(number) return string.format('%.0f', number) end
redis.call('HSET', totals, 'enqueued' .. suffix, whole(enqueued + events), 'events' .. suffix, whole(waits + events),
  'bytes', whole(bytes + #frame), 'bytes_internal', whole(internal and own + #frame or own))
return {1}
