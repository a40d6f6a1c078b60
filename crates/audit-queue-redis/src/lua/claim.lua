#!lua flags=allow-oom
-- Frees what a consumer that died holds: whatever was neither settled nor renewed for so long.
-- KEYS: the stream, its totals. ARGV: consumer, hold in milliseconds, where to go on.
-- Answers where to go on ("0-0": done), how many were freed, how many names of dead consumers were removed.
local stream, me, hold = KEYS[1], ARGV[1], tonumber(ARGV[2])
if redis.call('EXISTS', KEYS[2]) == 0 then return {'0-0', 0, 0} end
-- What was given back long ago is claimed along, and is nobody's.
local free = #redis.call('XPENDING', stream, 'lanes', 'IDLE', ARGV[2], '-', '+', 1000, 'free')
local claimed = redis.call('XAUTOCLAIM', stream, 'lanes', 'free', ARGV[2], ARGV[3], 'COUNT', 1000, 'JUSTID')
local removed = 0
if claimed[1] == '0-0' then
  for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', stream, 'lanes')) do
    local consumer = {}
    for at = 1, #row, 2 do consumer[row[at]] = row[at + 1] end
    -- Only without deliveries: they would go with the name. One that lives after all is made again by its next receive.
    if consumer.name ~= 'free' and consumer.name ~= me and consumer.pending == 0 and consumer.idle > hold then
      redis.call('XGROUP', 'DELCONSUMER', stream, 'lanes', consumer.name)
      removed = removed + 1
    end
  end
end
return {claimed[1], math.max(0, #claimed[2] - free), removed}
