-- Gives back what a dead worker, ours or another, was working on: two looks without a lock in between. Shares its keys with the
-- workers of Node. It never makes a job fail, however often its workers died.
-- ARGV: base, milliseconds between looks. Answers how many jobs were given back.
local strange = what_is_strange(base)
if strange then return strange end
if call('EXISTS', base .. 'stalled-check') == 1 then return 0 end
call('SET', base .. 'stalled-check', whole(now), 'PX', ARGV[2])
trim_events()
local suspects, back = call('SMEMBERS', base .. 'stalled'), 0
call('DEL', base .. 'stalled')
for _, id in ipairs(suspects) do
  if string.sub(id, 1, 2) == '0:' then
    call('LREM', base .. 'active', 1, id)
  elseif call('EXISTS', base .. id .. ':lock') == 0 and call('LREM', base .. 'active', 1, id) == 1
    and call('EXISTS', base .. id) == 1 then
    call('HINCRBY', base .. id, 'stc', 1)
    -- Whatever its priority was: it is the next.
    put(base, id, 0, true, 'active')
    event(base, 'stalled', 'jobId', id)
    back = back + 1
  end
end
local from = 0
while true do
  local active = call('LRANGE', base .. 'active', from, from + 999)
  if #active == 0 then break end
  call('SADD', base .. 'stalled', unpack(active))
  from = from + 1000
end
return back
