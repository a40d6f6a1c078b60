#!lua flags=no-writes
-- Where the queue stands. KEYS[1]: its `meta`. ARGV: base.
-- Answers jobs ever added, ready, put off, active, waiting for children, completed, failed, schedulers, whether it is paused, and
-- when the oldest that is ready was added ('' when that is not known).
local call, base = redis.call, ARGV[1]
local wait = call('LLEN', base .. 'wait')
local last = call('LINDEX', base .. 'wait', -1)
if last and string.sub(last, 1, 2) == '0:' then wait = wait - 1; last = call('LINDEX', base .. 'wait', -2) end
if not last then last = call('LINDEX', base .. 'paused', -1) or call('ZRANGE', base .. 'prioritized', 0, 0)[1] end
return {
  tonumber(call('GET', base .. 'id') or 0),
  wait + call('LLEN', base .. 'paused') + call('ZCARD', base .. 'prioritized'),
  call('ZCARD', base .. 'delayed'), call('LLEN', base .. 'active'), call('ZCARD', base .. 'waiting-children'),
  call('ZCARD', base .. 'completed'), call('ZCARD', base .. 'failed'), call('ZCARD', base .. 'repeat'),
  call('HEXISTS', base .. 'meta', 'paused'), last and call('HGET', base .. last, 'timestamp') or '',
}
