-- Ends jobs: completed, or failed as a mirror of our dead letters.
-- ARGV: base, token, base of the queue of dead letters or '', then for each job: id; how many of its kind to keep (-1: all, 0: none),
-- for how many seconds (-1: for ever), how many to remove at a time; why it failed or '' when it completed; attempts it may take; what
-- stands in its dead letter behind its data ('' for none), and whether its data is JSON ('1'), or more than allowed ('2').
-- Answers how many were not ours any more, and how many wait for children that came while they were worked on.
local token, dead = ARGV[2], ARGV[3]
local lost, parked = 0, 0
local strange = what_is_strange(base) or (dead ~= '' and what_is_strange(dead))
if strange then return strange end
trim_events()

local function remove(id)
  local job = base .. id
  call('DEL', job, job .. ':logs', job .. ':dependencies', job .. ':processed', job .. ':failed', job .. ':unsuccessful')
end

-- Lets a parent go on. `at_once`: also one that is put off.
local function release_parent(parent_key, parent, at_once)
  local known, at = pcall(cjson.decode, parent)
  if not known or type(at) ~= 'table' or not at.queueKey or not at.id then return end
  local queue, id = at.queueKey .. ':', tostring(at.id)
  if call('EXISTS', parent_key) == 0 then return end
  if call('ZREM', queue .. 'waiting-children', id) == 0 then
    if not at_once or call('ZREM', queue .. 'delayed', id) == 0 then return end
    call('HSET', parent_key, 'delay', '0')
  end
  local waits = call('HMGET', parent_key, 'delay', 'priority')
  local delay, priority = tonumber(waits[1]) or 0, tonumber(waits[2]) or 0
  if delay > 0 and not at_once then
    put_off(queue, id, now + delay)
  else
    put(queue, id, priority, priority == 0, 'waiting-children')
  end
end

local function tell_parent_completed(job, parent_key, parent)
  if call('SREM', parent_key .. ':dependencies', job) == 0 then return end
  call('HSET', parent_key .. ':processed', job, 'null')
  if call('SCARD', parent_key .. ':dependencies') == 0 then release_parent(parent_key, parent) end
end

local function tell_parent_failed(job, parent_key, parent, why)
  local known, flag = pcall(cjson.decode, parent)
  if not known or type(flag) ~= 'table' or not (flag.fpof or flag.cpof or flag.idof or flag.rdof) then return end
  if call('SREM', parent_key .. ':dependencies', job) == 0 then return end
  if flag.fpof then
    call('ZADD', parent_key .. ':unsuccessful', whole(now), job)
    if call('EXISTS', parent_key) == 1 then call('HSET', parent_key, 'defa', 'child ' .. job .. ' failed') end
    return release_parent(parent_key, parent, true)
  end
  if not flag.rdof then call('HSET', parent_key .. ':failed', job, why) end
  if flag.cpof or call('SCARD', parent_key .. ':dependencies') == 0 then release_parent(parent_key, parent, flag.cpof) end
end

-- A child that failed without its parent being told, and is kept no longer, is nothing to wait for.
local function leave_parent(job, parent_key, parent)
  if call('SREM', parent_key .. ':dependencies', job) == 1 and call('SCARD', parent_key .. ':dependencies') == 0 then
    release_parent(parent_key, parent)
  end
end

-- A deduplication key goes with its owner; what was kept for after it becomes a job.
local function pass_on_dedup(id, dedup)
  local owner, kept = base .. 'de:' .. dedup, base .. 'dn:' .. dedup
  local left = call('PTTL', owner)
  if left == 0 or (left == -1 and call('GET', owner) == id) then call('DEL', owner) end
  local next = call('HMGET', kept, 'name', 'data', 'opts', 'jid', 'pk', 'pd', 'pdk', 'rjk')
  if not next[1] then return end
  call('DEL', kept)
  local count = whole(call('INCR', base .. 'id'))
  local new = next[4] or count
  call('SET', owner, new)
  if call('EXISTS', base .. new) == 1 then return event(base, 'duplicated', 'jobId', new) end
  local known, opts = pcall(cjson.decode, next[3] or '{}')
  if not known or type(opts) ~= 'table' then opts = {} end
  local delay, priority = tonumber(opts.delay) or 0, tonumber(opts.priority) or 0
  call('HSET', base .. new, 'name', next[1], 'data', next[2] or '{}', 'opts', next[3] or '{}', 'timestamp',
    whole(tonumber(opts.timestamp) or now), 'delay', whole(delay), 'priority', whole(priority), 'deid', dedup)
  if next[5] and next[6] then call('HSET', base .. new, 'parentKey', next[5], 'parent', next[6]) end
  if next[7] then call('SADD', next[7], base .. new) end
  if next[8] then call('HSET', base .. new, 'rjk', next[8]) end
  event(base, 'added', 'jobId', new, 'name', next[1])
  if delay > 0 then put_off(base, new, now + delay) else put(base, new, priority, opts.lifo and priority == 0) end
end

-- The tools of other consumers look for what was given up in a queue of its own.
local function mirror(job, kind, rest)
  local data = call('HGET', job, 'data') or 'null'
  if kind == '2' then data = string.sub(data, 1, head_bytes) end
  local id = whole(call('INCR', dead .. 'id'))
  call('HSETNX', dead .. 'meta', 'opts.maxLenEvents', '10000')
  call('HSET', dead .. id, 'name', 'dead-letter-event', 'data', '{"originalEvent":' .. (kind == '1' and data or cjson.encode(data)) .. rest,
    'opts', '{"removeOnComplete":false,"removeOnFail":false,"delay":0,"attempts":0}', 'timestamp', whole(now), 'delay', '0',
    'priority', '0')
  event(dead, 'added', 'jobId', id, 'name', 'dead-letter-event')
  put(dead, id, 0, false)
end

-- What is done for all jobs at once, at the end: nobody sees the queue in between.
local unlock, ended, retained = {}, {completed = {}, failed = {}}, {completed = {}, failed = {}}

local function prune(state, policy)
  local all, count, age, old = base .. state, policy[1], policy[2], {}
  if age >= 0 then old = call('ZRANGEBYSCORE', all, 0, whole(now - age * 1000), 'LIMIT', 0, policy[3]) end
  for round = 1, 2 do
    for _, id in ipairs(old) do
      if state == 'failed' then
        local parent = call('HMGET', base .. id, 'parentKey', 'parent')
        if parent[1] then leave_parent(base .. id, parent[1], parent[2] or '') end
      end
      remove(id)
    end
    for from = 1, #old, 1000 do call('ZREM', all, unpack(old, from, math.min(from + 999, #old))) end
    if round == 2 or count < 0 then break end
    old = call('ZREVRANGE', all, count, count + 4999)
  end
end

local stamp, parents = whole(now), 0
-- Jobs of this batch still to come, by how many of their kind are kept: what is over that number is removed when it ends.
local to_come = {}

-- 0: ended, now or before. 1: no longer ours. 2: it has to wait for its children.
local function finish(id, lock, after, keep, age, at_a_time, why, attempts, rest, kind_of_data)
  local job = base .. id
  local field = call('HMGET', job, 'ats', 'finishedOn', 'parentKey', 'parent', 'deid', 'defa', 'atm', refused_field)
  -- It was removed.
  if not field[1] then return 0 end
  -- Not ours, or ended already: the answer to an earlier attempt may have been lost. Without a lock and still active, it is nobody's.
  if (lock and lock ~= token) or call('LREM', active, -1, id) == 0 then
    if not field[2] then return 1 end
    -- It ended half-way: the script was stopped before the job was put where ended jobs are.
    if lock == token and not call('ZSCORE', base .. 'completed', id) and not call('ZSCORE', base .. 'failed', id) then
      unlock[#unlock + 1] = id
      local all = ended[why == '' and 'completed' or 'failed']
      all[#all + 1], all[#all + 2] = field[2], id
    end
    return 0
  end
  unlock[#unlock + 1] = id
  call('HDEL', job, taken_field)
  if why == '' and parents > 0 and call('EXISTS', job .. ':dependencies', job .. ':unsuccessful') > 0 then
    local failed = call('ZRANGE', job .. ':unsuccessful', 0, 0)[1]
    if not failed then
      call('ZADD', base .. 'waiting-children', stamp, id)
      event(base, 'waiting-children', 'jobId', id, 'prev', 'active')
      return 2
    end
    why, keep, age = 'child ' .. failed .. ' failed', '-1', '-1'
  end
  if field[5] then pass_on_dedup(id, field[5]) end
  local made, state = (tonumber(field[7]) or 0) + 1, why == '' and 'completed' or 'failed'
  if field[3] then
    if why == '' then
      tell_parent_completed(job, field[3], field[4] or '')
    else
      tell_parent_failed(job, field[3], field[4] or '', why)
    end
  end
  if rest ~= '' and why ~= '' then mirror(job, kind_of_data, rest) end
  if keep ~= '-1' and after >= tonumber(keep) then
    if field[3] and why ~= '' then leave_parent(job, field[3], field[4] or '') end
    remove(id)
  else
    local all = ended[state]
    all[#all + 1], all[#all + 2] = stamp, id
    if why == '' then
      call('HSET', job, 'returnvalue', 'null', 'finishedOn', stamp, 'atm', made)
    else
      -- Whoever retries it makes it another delivery than the one that was refused.
      call('HSET', job, 'failedReason', why, 'finishedOn', stamp, 'atm', made, refused_field, count_of(field[8]) + 1)
      call('HSETNX', job, 'stacktrace', '[]')
    end
    if field[6] then call('HDEL', job, 'defa') end
    if keep ~= '-1' or age ~= '-1' then
      retained[state][keep .. ' ' .. age .. ' ' .. at_a_time] = {tonumber(keep), tonumber(age), tonumber(at_a_time)}
    end
  end
  if why == '' then
    event(base, 'completed', 'jobId', id, 'returnvalue', 'null', 'prev', 'active')
  else
    event(base, 'failed', 'jobId', id, 'failedReason', why, 'prev', 'active')
    if made >= tonumber(attempts) then event(base, 'retries-exhausted', 'jobId', id, 'attemptsMade', made) end
  end
  return 0
end

local function kind_of(at) return ARGV[at + 1] .. (ARGV[at + 4] == '' and 'completed' or 'failed') end
local lock_keys, child_keys = {}, {}
for at = 4, #ARGV, 8 do
  local job = base .. ARGV[at]
  lock_keys[#lock_keys + 1] = job .. ':lock'
  local kind = kind_of(at)
  to_come[kind] = (to_come[kind] or 0) + 1
  child_keys[#child_keys + 1], child_keys[#child_keys + 2] = job .. ':dependencies', job .. ':unsuccessful'
end
local locks = call('MGET', unpack(lock_keys))
parents = call('EXISTS', unpack(child_keys))
for at = 4, #ARGV, 8 do
  local kind = kind_of(at)
  to_come[kind] = to_come[kind] - 1
  local code = finish(ARGV[at], locks[(at - 4) / 8 + 1], to_come[kind], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5],
    ARGV[at + 6], ARGV[at + 7])
  if code == 1 then lost = lost + 1 elseif code == 2 then parked = parked + 1 end
end
if #unlock > 0 then
  call('SREM', base .. 'stalled', unpack(unlock))
  for at, id in ipairs(unlock) do unlock[at] = base .. id .. ':lock' end
  call('DEL', unpack(unlock))
end
for _, state in ipairs({'completed', 'failed'}) do
  if #ended[state] > 0 then call('ZADD', base .. state, unpack(ended[state])) end
  for _, policy in pairs(retained[state]) do prune(state, policy) end
end
local ready = call('LLEN', base .. 'wait') + call('ZCARD', base .. 'prioritized')
if ready == 0 and call('LLEN', active) == 0 then
  event(base, 'drained')
elseif ready > 0 and call('HEXISTS', KEYS[1], 'concurrency') == 1 then
  -- There is room again.
  arm(base)
end
return {lost, parked}
