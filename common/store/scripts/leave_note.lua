-- Leave a note about a stream's incidents.
--
-- KEYS[1] inbox    list: notes, as JSON, oldest first
-- KEYS[2] streams  sorted set: stream -> time of its last accepted batch
-- ARGV[1] stream  [2] the note, as JSON
-- Result: 1 left, 0 there is no such stream.
--
-- Promise: of a stream that was forgotten nothing comes back.
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
    return 0
end
redis.call('RPUSH', KEYS[1], ARGV[2])
return 1
