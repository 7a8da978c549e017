-- Remove streams that a retraining has dealt with; keep the model due only while others wait.
--
-- KEYS[1] waiting   hash: stream -> when it was noted first and last, and when it is due, as `first|last|due`
-- KEYS[2] due       sorted set: model -> when its next retraining may start
-- KEYS[3] rejected  hash: stream -> its rejections in a row
-- KEYS[4] attempts  string: retrainings begun since one last came to an end
-- KEYS[5] called    hash: model -> when its retraining was last requested
-- ARGV[1] model  [2] now  [3] cool-down, s  [4] longest cool-down, s  [5] how long rejections are remembered, whole s
-- ARGV[6] 1: a retraining came to an end, 0: none ran  [7] streams that were noted later than this wait on
-- ARGV[8..] stream and its outcome, in turns: 'promoted', 'rejected' or 'idle'
-- Result: streams that still wait.
--
-- Promise: what was noted while a retraining ran is not forgotten with what it dealt with; it waits anew, from now.
-- Streams that are not named wait on as they did. A rejection counts for the stream that had it alone, and for none
-- that was forgotten meanwhile. After a retraining the cool-down holds for what still waits, even if a retraining was
-- requested again while it ran. If none ran, the model is not due earlier than it was.
for i = 8, #ARGV, 2 do
    local stream, outcome = ARGV[i], ARGV[i + 1]
    local first, last = string.match(redis.call('HGET', KEYS[1], stream) or '', '^([^|]+)|([^|]+)|')
    if outcome == 'promoted' then
        redis.call('HDEL', KEYS[3], stream)
    elseif outcome == 'rejected' and first then
        redis.call('HINCRBY', KEYS[3], stream, 1)
        redis.call('EXPIRE', KEYS[3], ARGV[5])
    end
    if first and tonumber(last) <= tonumber(ARGV[7]) then
        redis.call('HDEL', KEYS[1], stream)
    elseif first then
        local wait = ARGV[3] * 2 ^ (tonumber(redis.call('HGET', KEYS[3], stream)) or 0)
        local due = ARGV[2] + math.min(wait, math.max(ARGV[3], ARGV[4]))
        redis.call('HSET', KEYS[1], stream, first .. '|' .. last .. '|' .. string.format('%.17g', due))
    end
end
local earliest = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1])) or 0
if ARGV[6] == '1' then
    redis.call('DEL', KEYS[4])
    redis.call('HDEL', KEYS[5], ARGV[1])
    earliest = ARGV[2] + ARGV[3]
end
local left = redis.call('HVALS', KEYS[1])
if #left == 0 then
    redis.call('ZREM', KEYS[2], ARGV[1])
else
    local soonest = math.huge
    for _, value in ipairs(left) do
        soonest = math.min(soonest, tonumber(string.match(value, '[^|]+$')))
    end
    redis.call('ZADD', KEYS[2], math.max(earliest, soonest), ARGV[1])
end
return #left
