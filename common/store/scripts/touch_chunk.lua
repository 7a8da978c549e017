-- Record that a chunk was sent to the workers, or delivered to one.
--
-- KEYS[1] chunk    hash: sent_at, deliveries, taken_by, taken_at (by Redis' clock)
-- KEYS[2] pending  sorted set: chunk id -> order
-- ARGV[1] chunk id  [2] now  [3] 1 if it was delivered to a worker
-- ARGV[4] id of the task that was delivered  [5] seconds for which a task may have a chunk in hand
-- Result: deliveries so far; -1 if the chunk is not pending; -2 if another task has it in hand, or died less than these
-- seconds ago.
--
-- Promise: a chunk that has entered its window leaves no key behind. While one task works on it, copies of the task,
-- which the sweep sent while no worker could be reached, count as no deliveries.
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
    return -1
end
if ARGV[3] == '1' then
    local clock = redis.call('TIME')
    local now = clock[1] + clock[2] / 1e6
    local by, at = unpack(redis.call('HMGET', KEYS[1], 'taken_by', 'taken_at'))
    if by and by ~= ARGV[4] and now < at + ARGV[5] then
        return -2
    end
    redis.call('HSET', KEYS[1], 'taken_by', ARGV[4], 'taken_at', string.format('%.6f', now))
end
redis.call('HSET', KEYS[1], 'sent_at', ARGV[2])
return redis.call('HINCRBY', KEYS[1], 'deliveries', ARGV[3])
