-- Leave a note in a stream's inbox, if there is such a stream.
--
-- KEYS[1] inbox    list: notes about the stream's incidents, as JSON, oldest first
-- KEYS[2] streams  sorted set: stream -> time of its last accepted batch
-- ARGV[1] stream  [2] note
-- Result: 1 left, 0 there is no such stream.
--
-- Promise: a stream that was forgotten does not come back with what a retraining has to say of it.
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
    return 0
end
redis.call('RPUSH', KEYS[1], ARGV[2])
return 1
