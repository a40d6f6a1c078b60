#!lua flags=allow-oom
-- Takes or renews the evaluator's turn, and answers what is in the log after its place.
-- KEYS: the state, its log, its snapshot, whose turn it is.
-- ARGV: the evaluator, milliseconds of its turn, name of the state it has or '', its place, mark of the entry there, entries and bytes
-- wanted.
-- Answers {'lost'}; {'busy'} when it is another's turn; {'snapshot', name, place, mark, bytes} when its place is none of this log: begin
-- from there; or {'entries', last place, {place, mark, quiet, batch}, ...}.
local state, log, snapshot, turn = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now = redis.call('HMGET', state, 'version', 'name', 'last')
local kept = redis.call('HMGET', snapshot, 'at', 'mark')
if not now[1] then return {'lost'} end
if now[1] ~= '1' then return redis.error_reply('FORMAT the windows have format ' .. now[1] .. ', newer than this program') end
if not kept[1] then
  -- Evicted: without it nobody can evaluate, and everybody is to learn that.
  redis.call('DEL', state, log)
  return {'lost'}
end
local whose = redis.call('GET', turn)
if whose and whose ~= ARGV[1] then return {'busy'} end
redis.call('SET', turn, ARGV[1], 'PX', ARGV[2])
local at, first = tonumber(ARGV[4]), tonumber(kept[1])
local known = false
if ARGV[3] == now[2] and at >= first then
  -- Entries have marks, because a Redis that came back may have forgotten the newest and put others in their places.
  local mark = kept[2]
  if at > first then
    local entry = redis.call('XRANGE', log, ARGV[4] .. '-0', ARGV[4] .. '-0')[1]
    mark = entry and entry[2][2]
  end
  known = mark == ARGV[5]
end
if not known then return {'snapshot', now[2], kept[1], kept[2], redis.call('HGET', snapshot, 'bytes')} end
local answer, wanted, bytes = {'entries', now[3]}, tonumber(ARGV[6]), tonumber(ARGV[7])
local from = '(' .. ARGV[4] .. '-0'
while wanted > 0 and bytes > 0 do
  local some = redis.call('XRANGE', log, from, '+', 'COUNT', math.min(wanted, 8))
  if #some == 0 then break end
  for _, entry in ipairs(some) do
    local place, fields = string.match(entry[1], '^%d+'), entry[2]
    table.insert(answer, {place, fields[2], fields[6], fields[8]})
    wanted, bytes, from = wanted - 1, bytes - #fields[8], '(' .. entry[1]
    if bytes <= 0 then break end
  end
end
return answer
