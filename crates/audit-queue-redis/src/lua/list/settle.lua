-- Takes a batch away, and shows what was refused of it among the failed. An item of which only a head was handed out is nowhere else: it
-- is kept among the oversized. A batch is ours as long as owner and count of deliveries are
-- those of our receipt. ARGV: consumer, name of the batch, its deliveries, how many may be among the failed, indexes of what was refused.
-- Answers how many batches were not ours, and how many items found no place among the failed. One that is settled already
-- is fine: the answer to the first attempt may have been lost.
local name = ARGV[2]
local batch = batch_of(name)
if not batch then return {redis.call('ZSCORE', settled, name) and 0 or 1, 0} end
if batch.owner ~= ARGV[1] or batch.deliveries ~= tonumber(ARGV[3]) then return {1, 0} end
local kept = {}
for _, index in ipairs(batch.cut or {}) do
  local item = redis.call('HGET', items, item_of(name, index))
  if item then redis.call('LPUSH', oversized, item) end
  kept[tostring(index)] = true
end
local unmirrored = 0
for at = 5, #ARGV do
  if not kept[ARGV[at]] then
    local item = redis.call('HGET', items, item_of(name, ARGV[at]))
    if item and redis.call('LLEN', failed) < tonumber(ARGV[4]) then
      redis.call('LPUSH', failed, item)
    else
      unmirrored = unmirrored + 1
    end
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
count('refused', #ARGV - 4)
count('unmirrored', unmirrored)
return {0, unmirrored}
