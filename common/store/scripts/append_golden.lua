-- Append to a stream's history of golden baselines, if its latest record is still the one that was read.
--
-- KEYS[1] golden   string: the latest GoldenRecord as JSON
-- KEYS[2] history  list: every GoldenRecord there ever was, oldest first; only ever appended to
-- KEYS[3] inbox    list: notes for the stream's incidents, which the reducer applies
-- KEYS[4] streams  sorted set: stream -> time of its last accepted batch
-- ARGV[1] number of the record that was read, 0 if there was none  [2] new record  [3] stream  [4..] notes for the inbox
-- Result: 1 appended, 0 somebody else changed it first, -1 there is no such stream (any more).
--
-- Promise: a record and its notes come together, once; the same record again (a client whose answer was lost on the
-- way asks twice) is appended once. A stream that was forgotten meanwhile does not come back.
local now = redis.call('GET', KEYS[1])
if now == ARGV[2] then
    return 1
end
if not redis.call('ZSCORE', KEYS[4], ARGV[3]) then
    return -1
end
local number = now and cjson.decode(now)['number'] or 0
if number ~= tonumber(ARGV[1]) then
    return 0
end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('RPUSH', KEYS[2], ARGV[2])
for i = 4, #ARGV do
    redis.call('RPUSH', KEYS[3], ARGV[i])
end
return 1
