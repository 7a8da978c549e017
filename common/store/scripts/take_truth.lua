-- Keep a row of truth, once.
--
-- KEYS[1] streams   sorted set: stream -> time of its last accepted batch
-- KEYS[2] truth     hash: taken (rows so far), version (commits so far), state:TRACK, progress:TRACK
-- KEYS[3] tracks    sorted set: track -> number of the row that it got last
-- KEYS[4] ids       sorted set: id of a row -> its number; the latest ones
-- KEYS[5] rows      hash: id of a row of the track that waits -> the row, as JSON
-- KEYS[6] due       set: streams whose rows have to be looked at
-- ARGV[1] stream  [2] track  [3] id of the row  [4] the row, as JSON  [5] progress of a track without rows, as JSON
-- ARGV[6] prefix of the keys of rows  [7] most ids that are remembered  [8] most tracks, those that got rows last
-- Result: 1 kept, 0 there already, -1 there is no such stream.
--
-- Promise: a row is kept once however often it is delivered, and of a stream that was forgotten nothing comes back.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
    return -1
end
if redis.call('ZSCORE', KEYS[4], ARGV[3]) then
    return 0
end
local number = redis.call('HINCRBY', KEYS[2], 'taken', 1)
redis.call('ZADD', KEYS[4], number, ARGV[3])
redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -1 - ARGV[7])
redis.call('HSETNX', KEYS[2], 'progress:' .. ARGV[2], ARGV[5])
redis.call('HSET', KEYS[5], ARGV[3], ARGV[4])
redis.call('ZADD', KEYS[3], number, ARGV[2])
while redis.call('ZCARD', KEYS[3]) > tonumber(ARGV[8]) do
    local track = redis.call('ZPOPMIN', KEYS[3])[1]
    redis.call('HDEL', KEYS[2], 'state:' .. track, 'progress:' .. track)
    redis.call('DEL', ARGV[6] .. track)
end
redis.call('SADD', KEYS[6], ARGV[1])
return 1
