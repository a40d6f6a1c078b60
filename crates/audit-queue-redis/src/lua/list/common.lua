-- Said before every script of the list. A wrong key is found before anything is changed: an error half-way would undo nothing.
-- KEYS: the queue, what was refused, items taken, batches of them, until when each is held, totals, batches settled last, items that
-- were too large to be handed out.
local queue, failed, items, batches, held, totals, settled, oversized = unpack(KEYS)
for at, kind in ipairs({'list', 'list', 'hash', 'hash', 'zset', 'hash', 'zset', 'list', 'string', 'string'}) do
  local found = KEYS[at] and redis.call('TYPE', KEYS[at]).ok or 'none'
  if found ~= 'none' and found ~= kind then
    return redis.error_reply('WRONGTYPE the key ' .. KEYS[at] .. ' is a ' .. found .. ', not a ' .. kind)
  end
end
local version = redis.call('HGET', totals, 'version')
if version and version ~= '1' then
  return redis.error_reply('FORMAT the list has format ' .. version .. ', newer than this program')
end

-- A batch: order of its taking, first index and number of its items, when Redis took them (microseconds, as text),
-- how often it was handed out, to whom ("" when it was given back), and indexes of items of which only a head was handed out, if any.
local function batch_of(name)
  local text = redis.call('HGET', batches, name)
  return text and cjson.decode(text)
end

local function put(name, batch, held_until)
  redis.call('HSET', batches, name, cjson.encode(batch))
  redis.call('ZADD', held, held_until, name)
end

local function forget(name)
  redis.call('HDEL', batches, name)
  redis.call('ZREM', held, name)
end

local function count(what, number)
  if number ~= 0 then redis.call('HINCRBY', totals, what, number) end
end

-- Where its items are: the batch's name is its id and the first index.
local function item_of(name, index)
  return string.match(name, '^(.+)/') .. '/' .. index
end

-- By the clock of Redis, in milliseconds. Whole numbers below 2^53 are exact in Lua.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function whole(number) return string.format('%.0f', number) end

-- Of the batches that nobody holds the one that comes before all others, and its name.
local function free_batch(comes_before)
  local first, its_name
  for _, name in ipairs(redis.call('ZRANGE', held, '-inf', whole(now), 'BYSCORE')) do
    local batch = batch_of(name)
    if not batch then
      redis.call('ZREM', held, name)
    elseif not first or comes_before(batch, first) then
      first, its_name = batch, name
    end
  end
  return first, its_name
end
