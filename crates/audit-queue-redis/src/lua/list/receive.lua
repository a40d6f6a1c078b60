-- Hands out what nobody holds: first what was handed out before and was given back or not renewed, oldest first, then from the
-- queue's tail, where the oldest is.
-- ARGV: consumer, id of a new batch, items at most, bytes at most (one item is always let through), hold in milliseconds.
-- Answers false when nothing is there, else name of the batch, its first index, how often it was handed out, when Redis took its
-- items, the items (false for one that Redis lost).
local me, new, left, room, hold = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local function older(one, other)
  return one.seq < other.seq or (one.seq == other.seq and one.from < other.from)
end

-- As much of the batch as the budget lets through; what is left becomes a batch of its own, whose items stay what they are.
local function hand_out_again(batch, name)
  local out, any, last = {}, false, batch.from + batch.count
  for index = batch.from, last - 1 do
    local item = redis.call('HGET', items, item_of(name, index))
    local size = item and #item or 0
    if #out >= left or (any and size > room) then break end
    any, room = any or item, room - size
    out[#out + 1] = item
  end
  if #out < batch.count then
    local from = batch.from + #out
    put(item_of(name, from), {seq = batch.seq, from = from, count = last - from, received = batch.received,
      deliveries = batch.deliveries, owner = ''}, 0)
  end
  if not any then
    count('lost', #out)
    forget(name)
    return false
  end
  batch.count, batch.deliveries, batch.owner = #out, batch.deliveries + 1, me
  put(name, batch, whole(now + hold))
  return {name, batch.from, batch.deliveries, batch.received, out}
end

local batch, name = free_batch(older)
while batch do
  local out = hand_out_again(batch, name)
  if out then return out end
  batch, name = free_batch(older)
end

name = new .. '/0'
-- The question came twice: what the first took is found again by its owner.
if batch_of(name) or redis.call('ZSCORE', settled, name) then return false end
local out = {}
while #out < left do
  local item = redis.call('RPOP', queue)
  if not item then break end
  if #out > 0 and #item > room then
    redis.call('RPUSH', queue, item)
    break
  end
  redis.call('HSET', items, item_of(name, #out), item)
  room = room - #item
  out[#out + 1] = item
end
if #out == 0 then return false end
if not version then redis.call('HSET', totals, 'version', '1') end
count('taken', #out)
local received = time[1] .. string.format('%06d', time[2])
put(name, {seq = redis.call('HINCRBY', totals, 'batches', 1), from = 0, count = #out, received = received,
  deliveries = 1, owner = me}, whole(now + hold))
return {name, 0, 1, received, out}
