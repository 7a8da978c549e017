-- Return the next chunks of a stream to send to workers.
--
-- KEYS[1] pending  sorted set: chunk id -> order
-- KEYS[2] sent     string: order up to which the stream's chunks have been sent
-- ARGV[1] most chunks of a stream in flight  [2] now  [3] prefix of chunk keys
-- Result: chunk ids, in order.
--
-- Promise: of a stream no more than so many chunks are between the queue and its window, however long the batch, so a
-- long file leaves room in the queue for others, and features that wait for a chunk before them take bounded memory.
local upto = redis.call('GET', KEYS[2]) or '0'
local room = tonumber(ARGV[1]) - redis.call('ZCOUNT', KEYS[1], '-inf', upto)
if room <= 0 then
    return {}
end
local rows = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. upto, '+inf', 'WITHSCORES', 'LIMIT', 0, room)
local ids = {}
for i = 1, #rows, 2 do
    redis.call('HSET', ARGV[3] .. rows[i], 'sent_at', ARGV[2])
    ids[#ids + 1] = rows[i]
    upto = rows[i + 1]
end
if #ids > 0 then -- of a stream that was forgotten nothing comes back
    redis.call('SET', KEYS[2], upto)
end
return ids
