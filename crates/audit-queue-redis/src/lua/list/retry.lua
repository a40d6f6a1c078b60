-- Moves the oldest of the failed to the newest end of the queue, as the replaced worker does. ARGV: how many at most. Answers how many.
local moved = 0
while moved < tonumber(ARGV[1]) and redis.call('LMOVE', failed, queue, 'RIGHT', 'LEFT') do moved = moved + 1 end
count('retried', moved)
return moved
