-- Gives back what Redis thinks that a consumer holds and it does not know of. ARGV: consumer, 1 when such a batch reached nobody and so
-- does not count as handed out, then name and deliveries of each batch that it knows. Answers how many were given back.
local known, freed = {}, 0
for at = 3, #ARGV, 2 do known[ARGV[at]] = tonumber(ARGV[at + 1]) end
for _, name in ipairs(redis.call('HKEYS', batches)) do
  local batch = batch_of(name)
  if batch.owner == ARGV[1] and known[name] ~= batch.deliveries then
    batch.owner = ''
    if ARGV[2] == '1' then batch.deliveries = batch.deliveries - 1 end
    put(name, batch, 0)
    freed = freed + 1
  end
end
return freed
