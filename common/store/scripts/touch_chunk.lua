-- Record that a chunk was sent to the workers, or delivered to one.
--
-- KEYS[1] chunk    hash: sent_at, deliveries
-- KEYS[2] pending  sorted set: chunk id -> order
-- ARGV[1] chunk id  [2] now  [3] 1 if it was delivered to a worker
-- Result: deliveries so far, -1 if the chunk is not pending.
--
-- Promise: a chunk that has entered its window leaves no key behind.
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
    return -1
end
redis.call('HSET', KEYS[1], 'sent_at', ARGV[2])
return redis.call('HINCRBY', KEYS[1], 'deliveries', ARGV[3])
