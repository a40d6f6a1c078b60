#!lua flags=allow-oom
-- Gives the evaluator's turn up. KEYS: whose turn it is. ARGV: the evaluator.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
