-- Puts the newest batch that nobody holds back to the queue's tail, its oldest item last, where the replaced worker finds it first.
-- Called again and again, until it answers 0: the oldest item of all is then at the tail. Answers how many items.
local batch, name = free_batch(function(one, other)
  return one.seq > other.seq or (one.seq == other.seq and one.from > other.from)
end)
if not batch then return 0 end
local back = 0
for index = batch.from + batch.count - 1, batch.from, -1 do
  local item = redis.call('HGET', items, item_of(name, index))
  if item then
    redis.call('RPUSH', queue, item)
    redis.call('HDEL', items, item_of(name, index))
    back = back + 1
  end
end
forget(name)
count('lost', batch.count - back)
count('taken', -back)
-- A batch of which nothing was left is no end.
return back == 0 and -1 or back
