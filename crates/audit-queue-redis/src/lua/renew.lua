#!lua flags=allow-oom
-- Holds deliveries for longer. KEYS: the stream, its totals. ARGV: consumer, then entry and count of each.
-- Answers how many were not ours.
local stream, me, lost = KEYS[1], ARGV[1], 0
if redis.call('EXISTS', KEYS[2]) == 0 then return (#ARGV - 1) / 2 end
for at = 2, #ARGV, 2 do
  local row = redis.call('XPENDING', stream, 'lanes', ARGV[at], ARGV[at], 1)[1]
  if row and row[2] == me and row[4] == tonumber(ARGV[at + 1]) then
    redis.call('XCLAIM', stream, 'lanes', me, 0, ARGV[at], 'JUSTID')
  else
    lost = lost + 1
  end
end
return lost
