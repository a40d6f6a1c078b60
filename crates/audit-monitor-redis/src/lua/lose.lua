#!lua flags=allow-oom
-- Gives up a state that cannot be evaluated, so that everybody learns that it has to be rebuilt; unless it was begun again meanwhile.
-- KEYS: the state, its log, its snapshot. ARGV: name of the state.
if redis.call('HGET', KEYS[1], 'name') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
return 1
