#!lua flags=no-writes
-- The time of the server that has the windows. KEYS: the state.
return redis.call('TIME')
