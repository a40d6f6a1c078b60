#!lua flags=no-writes
-- What Redis thinks that a consumer holds. KEYS: the stream, its totals. ARGV: consumer, where to begin, how many.
if redis.call('EXISTS', KEYS[2]) == 0 then return {} end
local out = {}
for _, row in ipairs(redis.call('XPENDING', KEYS[1], 'lanes', ARGV[2], '+', ARGV[3], ARGV[1])) do
  out[#out + 1] = {row[1], row[4]}
end
return out
