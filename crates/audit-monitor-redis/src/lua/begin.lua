#!lua flags=allow-oom
-- Begins, unless there is a state.
-- KEYS: the state, its log, its snapshot.
-- ARGV: name of the new state, snapshot of the empty windows, then for each source: its name, the leaf it is begun at.
-- Answers 1 when it is begun now, 0 when it was.
local state, log, snapshot, name = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
if redis.call('EXISTS', state) == 1 then return 0 end
redis.call('DEL', log, snapshot)
redis.call('HSET', state, 'version', '1', 'name', name, 'last', '0', 'total', '0', 'first', '1', 'trimmed', '0')
for at = 3, #ARGV, 2 do redis.call('HSET', state, 'cursor:' .. ARGV[at], ARGV[at + 1]) end
redis.call('HSET', snapshot, 'at', '0', 'mark', name, 'bytes', ARGV[2])
return 1
