-- Hands out what nobody holds: first what was handed out before and was given back or not renewed, oldest first, then from the
-- queue's tail, where the oldest is.
-- ARGV: consumer, id of a new batch, items at most, bytes at most (one item is always let through), hold in milliseconds, bytes of an item
-- at most, and of the head of a larger one, which is all that is handed out of it: whole it might not get through, or fill a memory.
-- Answers false when nothing is there, else name of the batch, its first index, how often it was handed out, when Redis took its
-- items, the items (false for one that Redis lost), then index and size of each of which only the head is here.
local me, new, left, room, hold = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local item_max, head_max = tonumber(ARGV[6]), tonumber(ARGV[7])

local function older(one, other)
  return one.seq < other.seq or (one.seq == other.seq and one.from < other.from)
end

-- What is handed out of an item of this size, in bytes.
local function shown(size) return size > item_max and head_max or size end

-- Items as they are handed out, and which of them are cut.
local function handing_out()
  local out, cut, sizes = {}, {}, {}
  local function add(index, item)
    if item and #item > item_max then
      cut[#cut + 1] = index
      sizes[#sizes + 1] = index
      sizes[#sizes + 1] = #item
      item = string.sub(item, 1, head_max)
    end
    out[#out + 1] = item
  end
  return out, cut, sizes, add
end

-- As much of the batch as the budget lets through; what is left becomes a batch of its own, whose items stay what they are.
local function hand_out_again(batch, name)
  local out, cut, sizes, add = handing_out()
  local any, last = false, batch.from + batch.count
  for index = batch.from, last - 1 do
    local size = shown(redis.call('HSTRLEN', items, item_of(name, index)))
    if #out >= left or (any and size > room) then break end
    local item = redis.call('HGET', items, item_of(name, index))
    any, room = any or item, room - size
    add(index, item)
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
  batch.cut = #cut > 0 and cut or nil
  put(name, batch, whole(now + hold))
  return {name, batch.from, batch.deliveries, batch.received, out, sizes}
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
local out, cut, sizes, add = handing_out()
while #out < left do
  local item = redis.call('RPOP', queue)
  if not item then break end
  if #out > 0 and shown(#item) > room then
    redis.call('RPUSH', queue, item)
    break
  end
  redis.call('HSET', items, item_of(name, #out), item)
  room = room - shown(#item)
  add(#out, item)
end
if #out == 0 then return false end
if not version then redis.call('HSET', totals, 'version', '1') end
count('taken', #out)
local received = time[1] .. string.format('%06d', time[2])
put(name, {seq = redis.call('HINCRBY', totals, 'batches', 1), from = 0, count = #out, received = received,
  deliveries = 1, owner = me, cut = #cut > 0 and cut or nil}, whole(now + hold))
return {name, 0, 1, received, out, sizes}
