-- Remove streams that a retraining has dealt with; keep the model due only while others wait.
--
-- KEYS[1] waiting    hash: stream -> when it was noted first and last, as `first|last`
-- KEYS[2] due        sorted set: model -> when its next retraining may start
-- KEYS[3] rejections string: retrainings of this model in a row that were rejected
-- KEYS[4] attempts   string: retrainings begun since one last came to an end
-- KEYS[5] called     hash: model -> when its retraining was last requested
-- ARGV[1] model  [2] now  [3] cool-down, s  [4] 'promoted', 'rejected', 'idle' or 'stale'  [5] longest cool-down, s
-- ARGV[6] streams that were noted later than this wait on  [7..] streams
-- Result: streams that still wait.
--
-- Promise: what was noted while a retraining ran is not forgotten with what it dealt with. After a retraining the cool-down holds for what still waits, even if a retraining was requested
-- again while it ran.
for i = 7, #ARGV do
    local last = string.match(redis.call('HGET', KEYS[1], ARGV[i]) or '', '|(.+)$')
    if last and tonumber(last) <= tonumber(ARGV[6]) then
        redis.call('HDEL', KEYS[1], ARGV[i])
    end
end
if ARGV[4] == 'promoted' then
    redis.call('DEL', KEYS[3])
elseif ARGV[4] == 'rejected' then
    redis.call('INCR', KEYS[3])
end
if ARGV[4] ~= 'stale' then
    redis.call('DEL', KEYS[4])
    redis.call('HDEL', KEYS[5], ARGV[1])
end
local left = redis.call('HLEN', KEYS[1])
if left == 0 then
    redis.call('ZREM', KEYS[2], ARGV[1])
else
    -- Each rejection in a row doubles the wait, for streams that joined meanwhile too.
    local wait = ARGV[3] * 2 ^ (tonumber(redis.call('GET', KEYS[3])) or 0)
    redis.call('ZADD', KEYS[2], ARGV[2] + math.min(wait, math.max(ARGV[3], ARGV[5])), ARGV[1])
end
return left
