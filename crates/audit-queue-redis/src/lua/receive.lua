#!lua flags=allow-oom
-- Hands out what nobody holds, oldest first: what was given back, then what was never handed out.
-- KEYS: the stream, its totals. ARGV: consumer, deliveries at most, bytes unfolded at most (one delivery is always let
-- through).
-- Answers {entry, deliveries of it so far, frame id, events, internal, frame} for each.
local stream, totals, me = KEYS[1], KEYS[2], ARGV[1]
local left, bytes_left = tonumber(ARGV[2]), tonumber(ARGV[3])
local version = redis.call('HGET', totals, 'version')
if not version then return {} end
if version ~= '1' then
  return redis.error_reply('FORMAT the queue has format ' .. version .. ', newer than this program')
end
local out = {}

-- Bytes of the frame unfolded: its header says so at offset 40 (big-endian), see `Frame::unfolded_len`.
local function unfolded(frame)
  if #frame < 44 then return #frame end
  local a, b, c, d = string.byte(frame, 41, 44)
  return math.max(#frame, ((a * 256 + b) * 256 + c) * 256 + d)
end

-- Takes the entry into the batch; false when it does not fit any more.
local function take(entry, count)
  local field = {}
  for at = 1, #entry[2], 2 do field[entry[2][at]] = entry[2][at + 1] end
  local frame = field.f or ''
  local size = unfolded(frame)
  if #out > 0 and size > bytes_left then
    -- As if it had not been handed out: not counted as a delivery.
    redis.call('XCLAIM', stream, 'lanes', 'free', 0, entry[1], 'RETRYCOUNT', count - 1, 'JUSTID')
    return false
  end
  bytes_left = bytes_left - size
  out[#out + 1] = {entry[1], count, field.id or '', tonumber(field.n) or 0, tonumber(field.i) or 0, frame}
  return true
end

for _, row in ipairs(redis.call('XPENDING', stream, 'lanes', '-', '+', left, 'free')) do
  local claimed = redis.call('XCLAIM', stream, 'lanes', me, 0, row[1])
  if claimed[1] and not take(claimed[1], row[4] + 1) then return out end
end
-- One at a time, because only then it is known how large it is.
while #out < left do
  local read = redis.call('XREADGROUP', 'GROUP', 'lanes', me, 'COUNT', 1, 'STREAMS', stream, '>')
  if not read or not take(read[1][2][1], 1) then return out end
end
return out
