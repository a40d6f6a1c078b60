-- Holds jobs for longer. ARGV: base, token, milliseconds, then ids. Answers how many were not ours any more.
local token, lost = ARGV[2], 0
for at = 4, #ARGV do
  local id = ARGV[at]
  local lock = base .. id .. ':lock'
  if call('GET', lock) == token then
    call('SET', lock, token, 'PX', ARGV[3])
    call('SREM', base .. 'stalled', id)
  else
    lost = lost + 1
  end
end
return lost
