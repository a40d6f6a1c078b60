-- Gives jobs back, to be taken again before all others; nothing is counted against them.
-- ARGV: base, token, then ids in the order they were taken. Answers how many were not ours any more.
-- One that nobody works on is back already: the answer to the first attempt may have been lost.
local strange = what_is_strange(base)
if strange then return strange end
local token, lost = ARGV[2], 0
for at = #ARGV, 3, -1 do
  local id = ARGV[at]
  if take_back(id, token) then
    if call('EXISTS', base .. id) == 1 then
      -- It did not get to be worked on.
      local taken = count_of(fields_of(base .. id, taken_field)[1]) - 1
      if taken > 0 then call('HSET', base .. id, taken_field, taken) else call('HDEL', base .. id, taken_field) end
      put(base, id, tonumber(call('HGET', base .. id, 'priority')) or 0, true, 'active')
    end
  elseif call('EXISTS', base .. id .. ':lock') == 1 then
    lost = lost + 1
  end
end
return lost
