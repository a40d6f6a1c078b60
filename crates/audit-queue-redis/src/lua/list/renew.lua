-- Holds a batch for longer. ARGV: consumer, name of the batch, its deliveries, hold in milliseconds.
-- Answers how many batches were not ours.
local batch = batch_of(ARGV[2])
if not batch or batch.owner ~= ARGV[1] or batch.deliveries ~= tonumber(ARGV[3]) then return 1 end
redis.call('ZADD', held, whole(now + tonumber(ARGV[4])), ARGV[2])
return 0
