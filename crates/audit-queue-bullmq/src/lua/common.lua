#!lua flags=allow-oom
-- What several scripts do, put before each of them. KEYS[1]: the queue's `meta`. ARGV[1]: what the queue's keys begin with.
-- Jobs, producers' data and options are bytes that are passed on; nothing of them is written again from what was read.
-- Numbers beyond fourteen digits are written by `whole`, because Lua would round them.
local call, base = redis.call, ARGV[1]
local events, active = base .. 'events', base .. 'active'
local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function whole(number) return string.format('%.0f', number) end

-- The keys that make a queue, and of what type each is.
local queue_keys = {
  wait = 'list', paused = 'list', active = 'list', prioritized = 'zset', delayed = 'zset', ['waiting-children'] = 'zset',
  completed = 'zset', failed = 'zset', events = 'stream', marker = 'zset', stalled = 'set', ['stalled-check'] = 'string',
  meta = 'hash', limiter = 'string', pc = 'string', id = 'string',
}
local counters = {'limiter', 'pc', 'id'}

-- Redis takes nothing back when a script fails half-way, so a script that moves ids looks first whether it can go through. Answers
-- the error to give, when a producer's job has the name of one of the queue's keys, or somebody wrote something else there.
local function what_is_strange(queue)
  for name, kind in pairs(queue_keys) do
    local found = call('TYPE', queue .. name).ok
    if found ~= 'none' and found ~= kind then
      return redis.error_reply('WRONGTYPE the key ' .. queue .. name .. ' holds a ' .. found .. ' where the queue has its ' .. kind
        .. ' (is it the id of a job?); nothing is taken until it is removed')
    end
  end
  for _, name in ipairs(counters) do
    local count = call('GET', queue .. name)
    if count and not string.match(count, '^%-?%d+$') then
      return redis.error_reply('WRONGTYPE the key ' .. queue .. name .. ' holds no number; nothing is taken until it is removed')
    end
  end
end

-- Fields of our own on a job, which Node leaves alone: how often we took it since it last ended, and how often we refused it.
local taken_field, refused_field = 'audit-worker:deliveries', 'audit-worker:refusals'
-- Of data that is larger than allowed, in bytes.
local head_bytes = 4096
local function count_of(field) return math.max(0, math.min(tonumber(field or '') or 0, 1000000000)) end

-- Fields of a job; nothing when its key is no hash: no job, and no event.
local function fields_of(job, ...)
  local fields = redis.pcall('HMGET', job, ...)
  return fields.err and {} or fields
end

-- Nobody may take a job now: paused, or as many are being worked on as the queue allows at a time.
local function is_blocked(queue)
  local meta = call('HMGET', queue .. 'meta', 'paused', 'concurrency')
  local most = tonumber(meta[2])
  return meta[1] or (most and call('LLEN', queue .. 'active') >= most)
end

-- The list that a job without priority belongs into. Versions 5 and 6 pause differently; this way nothing is lost with either.
local function target(queue)
  if call('HEXISTS', queue .. 'meta', 'paused') == 0 then return queue .. 'wait' end
  if call('EXISTS', queue .. 'paused') == 1 or call('EXISTS', queue .. 'wait') == 0 then return queue .. 'paused' end
  return queue .. 'wait'
end

-- Wakes a worker.
local function arm(queue)
  if not is_blocked(queue) then call('ZADD', queue .. 'marker', 0, '0') end
end

local function most_events(queue)
  local most = call('HGET', queue .. 'meta', 'opts.maxLenEvents') or ''
  return string.match(most, '^%d+$') or '10000'
end

local function event(queue, ...)
  if queue == base then
    call('XADD', events, '*', 'event', ...)
  else
    call('XADD', queue .. 'events', 'MAXLEN', '~', most_events(queue), '*', 'event', ...)
  end
end

local function trim_events()
  call('XTRIM', events, 'MAXLEN', '~', most_events(base))
end

-- Makes a job wait to be taken. `front`: of its list, or of its priority. `prev`: where it was, unless it is new.
local function put(queue, id, priority, front, prev)
  if priority > 0 then
    local count = front and 0 or call('INCR', queue .. 'pc') % 4294967296
    call('ZADD', queue .. 'prioritized', whole(priority * 4294967296 + count), id)
  else
    call(front and 'RPUSH' or 'LPUSH', target(queue), id)
  end
  arm(queue)
  if prev then event(queue, 'waiting', 'jobId', id, 'prev', prev) else event(queue, 'waiting', 'jobId', id) end
end

-- Makes a job wait for its time (milliseconds), behind others of the same millisecond.
local function put_off(queue, id, due)
  local first, last = whole(due * 4096), whole(due * 4096 + 4095)
  local latest = call('ZREVRANGEBYSCORE', queue .. 'delayed', last, first, 'WITHSCORES', 'LIMIT', 0, 1)
  local score = latest[2] and math.min(tonumber(latest[2]) + 1, due * 4096 + 4095) or due * 4096
  call('ZADD', queue .. 'delayed', whole(score), id)
  event(queue, 'delayed', 'jobId', id, 'delay', whole(due))
  local next = call('ZRANGE', queue .. 'delayed', 0, 0, 'WITHSCORES')
  call('ZADD', queue .. 'marker', whole(math.floor(tonumber(next[2]) / 4096)), '1')
end

-- Whether we may change an active job: its lock is ours, or ran out and nobody took the job since. Takes it out of `active`.
local function take_back(id, token)
  local lock = call('GET', base .. id .. ':lock')
  if lock and lock ~= token then return false end
  if call('LREM', active, -1, id) == 0 then return false end
  call('DEL', base .. id .. ':lock')
  call('SREM', base .. 'stalled', id)
  return true
end
