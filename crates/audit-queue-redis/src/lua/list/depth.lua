-- Where everything stands. KEYS besides: the producers' counters of events dropped and of events written past the queue.
-- Answers items in the queue, taken and not settled, failed, dropped, overflow, then ever taken, settled, refused, unmirrored, lost,
-- retried, and items among the oversized.
local out = {redis.call('LLEN', queue), redis.call('HLEN', items), redis.call('LLEN', failed)}
for at = 9, 10 do
  local text = redis.call('GET', KEYS[at]) or '0'
  if not string.match(text, '^%d+$') then
    return redis.error_reply('WRONGTYPE the key ' .. KEYS[at] .. ' is not a number')
  end
  out[#out + 1] = text
end
for _, total in ipairs(redis.call('HMGET', totals, 'taken', 'settled', 'refused', 'unmirrored', 'lost', 'retried')) do
  out[#out + 1] = total or '0'
end
out[#out + 1] = redis.call('LLEN', oversized)
return out
