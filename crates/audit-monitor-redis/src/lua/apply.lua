#!lua
-- Puts a batch at the end of the log and moves its source's cursor; one in which nothing was observed and its clock hardly moved only
-- moves the cursor, and its clock goes with the source's next entry. Refused by Redis before its first line when memory is full.
-- KEYS: the state, its log.
-- ARGV: source, first leaf, leaf after the last, clock or '', mark of this call, 1 when something was observed, microseconds of clock
-- that are an entry, entries and bytes that may wait, the batch.
-- Answers {'applied'}, also to the same call made again; {'lost'}; {'moved', cursor}; {'full', entries that wait}.
local state, log = KEYS[1], KEYS[2]
local source, from, to, clock, mark = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local had = redis.call('HMGET', state, 'version', 'cursor:' .. source, 'mark:' .. source, 'clock:' .. source, 'quiet:' .. source,
  'last', 'first', 'total', 'trimmed')
if not had[1] then return {'lost'} end
if had[1] ~= '1' then return redis.error_reply('FORMAT the windows have format ' .. had[1] .. ', newer than this program') end
if had[3] == mark then return {'applied'} end
if (had[2] or '0') ~= from then return {'moved', had[2] or '0'} end
-- Clocks stay texts: microseconds of far years are no exact numbers in Lua.
local function newer(one, other)
  if not one or one == '' then return other end
  if not other or other == '' or tonumber(one) >= tonumber(other) then return one end
  return other
end
local quiet = newer(clock, had[5]) or ''
local moved = quiet ~= '' and (not had[4] or had[4] == '' or tonumber(quiet) - tonumber(had[4]) >= tonumber(ARGV[7]))
if ARGV[6] == '0' and not moved then
  redis.call('HSET', state, 'cursor:' .. source, to, 'mark:' .. source, mark, 'quiet:' .. source, quiet)
  return {'applied'}
end
local last, total = tonumber(had[6]), tonumber(had[8])
local entries, bytes = last + 1 - tonumber(had[7]), total - tonumber(had[9])
-- One batch always fits into an empty log, else it never would.
if entries > 0 and (entries >= tonumber(ARGV[8]) or bytes + #ARGV[10] > tonumber(ARGV[9])) then return {'full', entries} end
-- Whole numbers below 2^53 are exact in Lua.
local function whole(number) return string.format('%.0f', number) end
local next, total = whole(last + 1), whole(total + #ARGV[10])
redis.call('XADD', log, next .. '-0', 'mark', mark, 'total', total, 'quiet', had[5] or '', 'batch', ARGV[10])
redis.call('HSET', state, 'cursor:' .. source, to, 'mark:' .. source, mark, 'quiet:' .. source, '',
  'clock:' .. source, newer(quiet, had[4]) or '', 'last', next, 'total', total)
return {'applied'}
