#!lua flags=no-writes
-- What waits. KEYS: the stream, its totals.
-- Answers enqueued, enqueued_internal, frames, events, events_internal, bytes, oldest entry or '', deliveries held, consumers.
local t = redis.call('HMGET', KEYS[2], 'enqueued', 'enqueued_internal', 'events', 'events_internal', 'bytes')
for at = 1, 5 do t[at] = tonumber(t[at] or 0) end
if redis.call('EXISTS', KEYS[1]) == 0 then return {t[1], t[2], 0, t[3], t[4], t[5], '', 0, 0} end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local held, consumers = 0, 0
for _, row in ipairs(redis.call('XPENDING', KEYS[1], 'lanes')[4] or {}) do
  if row[1] ~= 'free' then
    held, consumers = held + tonumber(row[2]), consumers + 1
  end
end
return {t[1], t[2], redis.call('XLEN', KEYS[1]), t[3], t[4], t[5], first and first[1] or '', held, consumers}
