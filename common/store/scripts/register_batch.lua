-- Accept a batch into its stream, once.
--
-- KEYS[1] batch      hash: message, unreduced, frames, dead; there exactly when the batch is known
-- KEYS[2] counter    string: how many chunks the stream has accepted, the source of their order
-- KEYS[3] pending    sorted set: chunk id -> order; what has not yet entered the stream's window
-- KEYS[4] streams    sorted set: stream -> time of its last accepted batch
-- ARGV[1] stream  [2] batch message  [3] now  [4] retention, s  [5] prefix of chunk keys  [6..] chunk ids in order
-- Result: 1 accepted, 0 known before.
--
-- Promise: a batch is either wholly registered or not at all, and its chunks stand after all chunks accepted before.
if redis.call('EXISTS', KEYS[1]) == 1 then
    -- A source that is still offered (a file that still lies in the folder) must stay known.
    redis.call('EXPIRE', KEYS[1], ARGV[4])
    return 0
end
local n = #ARGV - 5
redis.call('HSET', KEYS[1], 'message', ARGV[2], 'unreduced', n, 'frames', 0, 'dead', 0)
redis.call('EXPIRE', KEYS[1], ARGV[4])
local last = redis.call('INCRBY', KEYS[2], n)
for i = 1, n do
    local id = ARGV[5 + i]
    redis.call('ZADD', KEYS[3], last - n + i, id)
    redis.call('HSET', ARGV[5] .. id, 'sent_at', ARGV[3], 'deliveries', 0)
end
redis.call('ZADD', KEYS[4], ARGV[3], ARGV[1])
return 1
