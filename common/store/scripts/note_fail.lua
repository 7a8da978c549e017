-- Put a FAIL with those that wait for its model's next retraining.
--
-- KEYS[1] fails      hash: event id -> verdict JSON
-- KEYS[2] due        sorted set: model -> when its next retraining may start
-- KEYS[3] rejections string: retrainings of this model in a row that were rejected
-- ARGV[1] model  [2] event id  [3] verdict JSON  [4] now  [5] cool-down, s  [6] longest cool-down, s  [7] most FAILs kept
-- Result: 1 new, 0 known.
--
-- Promise: the first FAIL of a burst sets the time, the others join it; the same FAIL joins once. Each
-- rejection in a row doubles the wait: footage that cannot be learned must not keep the machine busy.
if redis.call('HLEN', KEYS[1]) < tonumber(ARGV[7]) then
    if redis.call('HSETNX', KEYS[1], ARGV[2], ARGV[3]) == 0 then
        return 0
    end
end
local wait = ARGV[5] * 2 ^ (tonumber(redis.call('GET', KEYS[3])) or 0)
redis.call('ZADD', KEYS[2], 'NX', ARGV[4] + math.min(wait, math.max(ARGV[5], ARGV[6])), ARGV[1])
return 1
