-- Mute a stream until a time, if there is such a stream.
--
-- KEYS[1] mute     string: Mute as JSON; gone once it is over
-- KEYS[2] streams  sorted set: stream -> time of its last accepted batch
-- KEYS[3] inbox    list: notes for the stream's incidents, which the reducer applies
-- ARGV[1] stream  [2] Mute as JSON, '' to end it  [3] how long it lasts, ms  [4..] notes for the inbox
-- Result: 1 done, 0 nothing was muted, -1 there is no such stream.
--
-- Promise: a stream that was forgotten meanwhile does not come back.
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
    return -1
end
local done = 1
if ARGV[2] == '' then
    done = redis.call('DEL', KEYS[1])
else
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
for i = 4, #ARGV do
    redis.call('RPUSH', KEYS[3], ARGV[i])
end
return done
