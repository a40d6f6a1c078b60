-- Takes a batch away, and shows what was refused of it among the failed. A batch is ours as long as owner and count of deliveries are
-- those of our receipt. ARGV: consumer, name of the batch, its deliveries, how many may be among the failed, indexes of what was refused.
-- Answers how many batches were not ours, and how many items found no place among the failed. One that is settled already
-- is fine: the answer to the first attempt may have been lost.
local name = ARGV[2]
local batch = batch_of(name)
if not batch then return {redis.call('ZSCORE', settled, name) and 0 or 1, 0} end
if batch.owner ~= ARGV[1] or batch.deliveries ~= tonumber(ARGV[3]) then return {1, 0} end
local mirrored, unmirrored = 0, 0
for at = 5, #ARGV do
  local item = redis.call('HGET', items, item_of(name, ARGV[at]))
  if item and redis.call('LLEN', failed) < tonumber(ARGV[4]) then
    redis.call('LPUSH', failed, item)
    mirrored = mirrored + 1
  else
    unmirrored = unmirrored + 1
  end
end
local gone = 0
for index = batch.from, batch.from + batch.count - 1 do
  gone = gone + redis.call('HDEL', items, item_of(name, index))
end
forget(name)
redis.call('ZADD', settled, whole(now), name)
redis.call('ZREMRANGEBYRANK', settled, 0, -10001)
count('settled', gone)
count('lost', batch.count - gone)
count('refused', mirrored + unmirrored)
count('unmirrored', unmirrored)
return {0, unmirrored}
