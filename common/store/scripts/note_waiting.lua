-- Note that a stream waits for its model: its footage may be trained on, or a condition of it wants proving again.
--
-- KEYS[1] waiting    hash: stream -> when it was noted first and last, as `first|last`
-- KEYS[2] due        sorted set: model -> when its next retraining may start
-- KEYS[3] rejections string: retrainings of this model in a row that were rejected
-- ARGV[1] model  [2] stream  [3] now  [4] cool-down, s  [5] longest cool-down, s
-- Result: 1 new, 0 it waits already.
--
-- Promise: the first of a burst sets the time, the others join it, and are still noted after a retraining that began
-- before them. Each rejection in a row doubles the wait: footage
-- that cannot be learned must not keep the machine busy.
local first = string.match(redis.call('HGET', KEYS[1], ARGV[2]) or '', '^[^|]+')
redis.call('HSET', KEYS[1], ARGV[2], (first or ARGV[3]) .. '|' .. ARGV[3])
if first then
    return 0
end
local wait = ARGV[4] * 2 ^ (tonumber(redis.call('GET', KEYS[3])) or 0)
redis.call('ZADD', KEYS[2], 'NX', ARGV[3] + math.min(wait, math.max(ARGV[4], ARGV[5])), ARGV[1])
return 1
