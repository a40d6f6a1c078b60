#!lua flags=no-writes
-- Where the windows stand. KEYS: the state, its snapshot.
-- Answers entries and bytes that wait in the log, and bytes of the snapshot; nothing when there is no state.
local now = redis.call('HMGET', KEYS[1], 'last', 'first', 'total', 'trimmed')
if not now[1] then return {} end
return {now[1] + 1 - now[2], now[3] - now[4], redis.call('HSTRLEN', KEYS[2], 'bytes')}
