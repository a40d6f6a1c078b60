#!lua flags=allow-oom
-- Gives deliveries back, to be handed out at once. What waits so belongs to the consumer "free", which nobody is.
-- KEYS: the stream, its totals. ARGV: consumer, 1 when they reached nobody and so do not count, then entry and count of each.
-- Answers how many were not ours. One that is free already is: the answer to the first attempt may have been lost.
local stream, me, undo, lost = KEYS[1], ARGV[1], ARGV[2] == '1', 0
if redis.call('EXISTS', KEYS[2]) == 0 then return (#ARGV - 2) / 2 end
for at = 3, #ARGV, 2 do
  local entry, count = ARGV[at], tonumber(ARGV[at + 1])
  local row = redis.call('XPENDING', stream, 'lanes', entry, entry, 1)[1]
  if row and row[2] == me and row[4] == count then
    local counted = undo and count - 1 or count
    redis.call('XCLAIM', stream, 'lanes', 'free', 0, entry, 'RETRYCOUNT', counted, 'JUSTID')
  elseif not row or row[2] ~= 'free' then
    lost = lost + 1
  end
end
return lost
