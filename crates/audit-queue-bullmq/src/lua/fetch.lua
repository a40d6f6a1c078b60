-- Takes jobs: those whose time has come are put to the others, then the oldest without priority, then by priority.
-- ARGV: base, token, jobs at most, bytes at most (one job is always let through), milliseconds of the lock, our name, a new generation,
-- bytes of data at most: of more, only the first are answered.
-- Answers Redis' time (milliseconds), the generation, how many ids were dropped because there is no job of that id, and for
-- each job: id, timestamp, data, options, earlier deliveries of ours, deferred failure, scheduler, earlier refusals of ours, bytes of
-- its data.
-- Whatever stops it half-way, each id is in a list or a set at all times: where it was, in `active`, or in both.
local token, most, bytes_left, lock = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local data_max = tonumber(ARGV[8])
local strange = what_is_strange(base)
if strange then return strange end
local meta = call('HMGET', KEYS[1], 'paused', 'concurrency', 'max', 'duration', 'audit-worker')
-- Ids looked at in one go: more would keep Redis from serving others.
local looks_left, gone = 10000, 0

local due = call('ZRANGEBYSCORE', base .. 'delayed', 0, whole((now + 1) * 4096 - 1), 'LIMIT', 0, 1000)
-- Who may not remove finds out before anything was added.
if #due > 0 then call('ZREM', base .. 'delayed', '') end
for _, id in ipairs(due) do
  local field = fields_of(base .. id, 'timestamp', 'data', 'name', 'priority')
  if field[1] or field[2] or field[3] then
    put(base, id, tonumber(field[4]) or 0, false, 'delayed')
    call('HSET', base .. id, 'delay', '0')
  else
    gone = gone + 1
  end
  call('ZREM', base .. 'delayed', id)
end

local concurrency, limit, duration = tonumber(meta[2]), tonumber(meta[3]), string.match(meta[4] or '', '^%d+$')
if concurrency then most = math.min(most, concurrency - call('LLEN', active)) end
if meta[1] or most <= 0 then return {now, '', gone, {}} end
if limit then
  local used, left = tonumber(call('GET', base .. 'limiter') or 0), call('PTTL', base .. 'limiter')
  if used >= limit and left > 0 then return {now, '', gone, {}} end
  if used >= limit and left == 0 then call('DEL', base .. 'limiter'); used = 0 end
  if left ~= -1 then most = math.min(most, limit - used) end
end

-- Goes with everything else of the queue, so it changes when the numbers of jobs begin again.
local generation = meta[5]
local stamp = whole(now)
local jobs = {}

-- Takes a job with `to_active`, or takes an id that is none out of its list with `drop`. False when the job does not fit any more.
local function take(id, to_active, drop)
  looks_left = looks_left - 1
  if string.sub(id, 1, 2) == '0:' then
    drop(id)
    return true
  end
  local job = base .. id
  local field = fields_of(job, 'timestamp', 'name', 'opts', 'ats', 'defa', 'rjk', taken_field, refused_field)
  local data_bytes = redis.pcall('HSTRLEN', job, 'data')
  if not (field[1] or field[2] or field[3]) and (type(data_bytes) ~= 'number' or data_bytes == 0) then
    drop(id)
    gone = gone + 1
    return true
  end
  local opts = field[3] or ''
  local size = (data_bytes > data_max and head_bytes or data_bytes) + #opts + #id
  if #jobs > 0 and size > bytes_left then return false end
  local data = call('HGET', job, 'data') or ''
  if data_bytes > data_max then data = string.sub(data, 1, head_bytes) end
  bytes_left = bytes_left - size
  to_active(id)
  call('SET', job .. ':lock', token, 'PX', lock)
  if limit and not field[5] and call('INCR', base .. 'limiter') == 1 and duration then
    call('PEXPIRE', base .. 'limiter', duration)
  end
  local at, started, taken = tonumber(field[1]), (tonumber(field[4]) or 0) + 1, count_of(field[7])
  if at and at > 0 and at < 253402300800000 then
    call('HSET', job, 'processedOn', stamp, 'pb', ARGV[6], 'ats', started, taken_field, taken + 1)
  else
    -- The same when it is delivered again.
    at = now
    call('HSET', job, 'processedOn', stamp, 'pb', ARGV[6], 'ats', started, taken_field, taken + 1, 'timestamp', stamp)
  end
  event(base, 'active', 'jobId', id, 'prev', 'waiting')
  jobs[#jobs + 1] = {id, whole(at), data, opts, taken, field[5] or '', field[6] or '', count_of(field[8]), data_bytes}
  return true
end

-- Takes what `look` shows, the next first, until there is nothing left of it or enough was taken.
local function take_all(look, to_active, drop)
  while #jobs < most and looks_left > 0 do
    local ids = look(math.min(most - #jobs, looks_left))
    if #ids == 0 then return end
    for _, id in ipairs(ids) do
      if not take(id, to_active, drop) then
        most = #jobs
        return
      end
    end
  end
end

take_all(function(count)
  local last, ids = call('LRANGE', base .. 'wait', -count, -1), {}
  for at = #last, 1, -1 do ids[#ids + 1] = last[at] end
  return ids
end, function()
  call('LMOVE', base .. 'wait', active, 'RIGHT', 'LEFT')
end, function()
  call('RPOP', base .. 'wait')
end)

local function drop_prioritized(id) call('ZREM', base .. 'prioritized', id) end
-- As with those put off.
if call('EXISTS', base .. 'prioritized') == 0 then call('DEL', base .. 'pc') else drop_prioritized('') end
take_all(function(count)
  return call('ZRANGE', base .. 'prioritized', 0, count - 1)
end, function(id)
  call('LPUSH', active, id)
  drop_prioritized(id)
end, drop_prioritized)

if #jobs > 0 then
  if not generation then
    generation = ARGV[7]
    call('HSET', KEYS[1], 'audit-worker', generation)
    call('HSETNX', KEYS[1], 'opts.maxLenEvents', '10000')
  end
  if call('LLEN', base .. 'wait') + call('ZCARD', base .. 'prioritized') > 0 then arm(base) end
end
return {now, generation or '', gone, jobs}
