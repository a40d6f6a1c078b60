-- Takes jobs: those whose time has come are put to the others, then the oldest without priority, then by priority.
-- ARGV: base, token, jobs at most, bytes at most (one job is always let through), milliseconds of the lock, our name, a new generation.
-- Answers Redis' time (milliseconds), the generation, ids that were dropped because their job is gone, and for
-- each job: id, timestamp, data, options, attempts started, deferred failure, scheduler.
local token, most, bytes_left, lock = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local meta = call('HMGET', KEYS[1], 'paused', 'concurrency', 'max', 'duration', 'audit-worker')

local due = call('ZRANGEBYSCORE', base .. 'delayed', 0, whole((now + 1) * 4096 - 1), 'LIMIT', 0, 1000)
if #due > 0 then
  call('ZREM', base .. 'delayed', unpack(due))
  for _, id in ipairs(due) do
    local priority = call('HGET', base .. id, 'priority')
    if priority or call('EXISTS', base .. id) == 1 then
      put(base, id, tonumber(priority) or 0, false, 'delayed')
      call('HSET', base .. id, 'delay', '0')
    end
  end
end

local concurrency, limit = tonumber(meta[2]), tonumber(meta[3])
if concurrency then most = math.min(most, concurrency - call('LLEN', active)) end
if meta[1] or most <= 0 then return {now, '', {}, {}} end
if limit then
  local used, left = tonumber(call('GET', base .. 'limiter') or 0), call('PTTL', base .. 'limiter')
  if used >= limit and left > 0 then return {now, '', {}, {}} end
  if used >= limit and left == 0 then call('DEL', base .. 'limiter'); used = 0 end
  if left ~= -1 then most = math.min(most, limit - used) end
end

-- Goes with everything else of the queue, so it changes when the numbers of jobs begin again.
local generation = meta[5]
local stamp = whole(now)
local taken, gone, jobs = {}, {}, {}

-- False when the job does not fit any more.
local function take(id)
  if string.sub(id, 1, 2) == '0:' then return true end
  local job = base .. id
  local field = call('HMGET', job, 'timestamp', 'data', 'opts', 'ats', 'defa', 'rjk', 'name')
  if not (field[1] or field[2] or field[3] or field[7]) then
    gone[#gone + 1] = id
    return true
  end
  local data, opts = field[2] or '', field[3] or ''
  local size = #data + #opts + #id
  if #jobs > 0 and size > bytes_left then return false end
  bytes_left = bytes_left - size
  call('SET', job .. ':lock', token, 'PX', lock)
  if limit and not field[5] and call('INCR', base .. 'limiter') == 1 and meta[4] then
    call('PEXPIRE', base .. 'limiter', meta[4])
  end
  local at, started = tonumber(field[1]), (tonumber(field[4]) or 0) + 1
  if at and at > 0 and at < 253402300800000 then
    call('HSET', job, 'processedOn', stamp, 'pb', ARGV[6], 'ats', started)
  else
    -- The same when it is delivered again.
    at = now
    call('HSET', job, 'processedOn', stamp, 'pb', ARGV[6], 'ats', started, 'timestamp', stamp)
  end
  event(base, 'active', 'jobId', id, 'prev', 'waiting')
  taken[#taken + 1] = id
  jobs[#jobs + 1] = {id, whole(at), data, opts, started, field[5] or '', field[6] or ''}
  return true
end

while #jobs < most do
  local ids = call('RPOP', base .. 'wait', most - #jobs)
  if not ids or #ids == 0 then break end
  local full
  for at, id in ipairs(ids) do
    if not take(id) then full = at; break end
  end
  if full then
    for at = #ids, full, -1 do call('RPUSH', base .. 'wait', ids[at]) end
    most = #jobs
  end
end
while #jobs < most do
  local popped = call('ZPOPMIN', base .. 'prioritized', most - #jobs)
  if #popped == 0 then call('DEL', base .. 'pc'); break end
  local full
  for at = 1, #popped, 2 do
    if not take(popped[at]) then full = at; break end
  end
  if full then
    for at = full, #popped, 2 do call('ZADD', base .. 'prioritized', popped[at + 1], popped[at]) end
    most = #jobs
  end
end
if #taken > 0 then call('LPUSH', active, unpack(taken)) end
if #jobs > 0 then
  if not generation then
    generation = ARGV[7]
    call('HSET', KEYS[1], 'audit-worker', generation)
    call('HSETNX', KEYS[1], 'opts.maxLenEvents', '10000')
  end
  if call('LLEN', base .. 'wait') + call('ZCARD', base .. 'prioritized') > 0 then arm(base) end
end
return {now, generation or '', gone, jobs}
