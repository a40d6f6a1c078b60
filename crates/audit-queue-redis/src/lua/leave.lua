#!lua flags=allow-oom
-- Removes a consumer's own name at its end, unless it still holds something. KEYS: the stream, its totals. ARGV: consumer.
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
if #redis.call('XPENDING', KEYS[1], 'lanes', '-', '+', 1, ARGV[1]) > 0 then return 1 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'lanes', ARGV[1])
return 0
