-- Gives a batch back, to be handed out at once. ARGV: consumer, name of the batch, its deliveries.
-- Answers how many batches were not ours. One that is nobody's is fine: the answer to the first attempt may have been lost.
local batch = batch_of(ARGV[2])
if not batch then return 1 end
if batch.owner == '' then return 0 end
if batch.owner ~= ARGV[1] or batch.deliveries ~= tonumber(ARGV[3]) then return 1 end
batch.owner = ''
put(ARGV[2], batch, 0)
return 0
