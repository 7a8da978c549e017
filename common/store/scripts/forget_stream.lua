-- Take a stream out: what makes it a stream goes in one step, so that no worker can go on with it.
--
-- KEYS[1] streams    sorted set: stream -> time of its last accepted batch
-- KEYS[2] waiting    hash: stream -> why it waits for a baseline
-- KEYS[3] forgotten  string: there for a while, for tasks about the stream that are still on their way
-- KEYS[4..]          keys of the stream whose names are known: order, counter, window, frames, inbox, history, ...
-- ARGV[1] stream  [2] now  [3] how long that is remembered, s
-- Result: how many keys were deleted.
--
-- Promise: afterwards a late worker finds no chunk pending and no window of the version that it read, and changes nothing.
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('SET', KEYS[3], ARGV[2], 'EX', ARGV[3])
local count = 0
for i = 4, #KEYS do
    count = count + redis.call('DEL', KEYS[i])
end
return count
