-- Add a FAIL to those that wait for its model's next retraining.
--
-- KEYS[1] fails      hash: event id -> verdict JSON
-- KEYS[2] due        sorted set: model -> when its next retraining may start
-- KEYS[3] rejections string: retrainings of this model in a row that were rejected
-- KEYS[4] order      sorted set: event id of a waiting FAIL -> when it joined
-- KEYS[5] run        hash: the stream's unconfirmed FAILs, and the run that they belong to
-- ARGV[1] model  [2] event id  [3] verdict JSON  [4] now  [5] cool-down, s  [6] longest cool-down, s  [7] most FAILs kept
-- ARGV[8] 1 if confirmed  [9] name of the run  [10] how long an unconfirmed run is kept, s
-- Result: 1 new, 0 known.
--
-- Promise: nothing is due before a FAIL is confirmed; then its whole run waits. The first of a burst sets the time,
-- the others join it; the same FAIL joins once. Each rejection in a row doubles the wait: footage that cannot be
-- learned must not keep the machine busy. Where more wait than are kept, the latest do: their footage still exists.
local same = redis.call('HGET', KEYS[5], 'run') == ARGV[9]
if ARGV[8] == '0' then
    if not same then
        redis.call('DEL', KEYS[5])
        redis.call('HSET', KEYS[5], 'run', ARGV[9])
    end
    local fresh = redis.call('HSETNX', KEYS[5], ARGV[2], ARGV[3])
    redis.call('EXPIRE', KEYS[5], ARGV[10])
    return fresh
end

local function join(id, verdict)
    if redis.call('HSETNX', KEYS[1], id, verdict) == 0 then
        return 0
    end
    redis.call('ZADD', KEYS[4], ARGV[4], id)
    while redis.call('HLEN', KEYS[1]) > tonumber(ARGV[7]) do
        local oldest = redis.call('ZPOPMIN', KEYS[4])[1]
        if not oldest then
            break -- what an older version of this script let wait has no place in the order
        end
        redis.call('HDEL', KEYS[1], oldest)
    end
    return 1
end

if same then
    local earlier = redis.call('HGETALL', KEYS[5])
    for i = 1, #earlier, 2 do
        if earlier[i] ~= 'run' then
            join(earlier[i], earlier[i + 1])
        end
    end
end
redis.call('DEL', KEYS[5])
if join(ARGV[2], ARGV[3]) == 0 then
    return 0
end
local wait = ARGV[5] * 2 ^ (tonumber(redis.call('GET', KEYS[3])) or 0)
redis.call('ZADD', KEYS[2], 'NX', ARGV[4] + math.min(wait, math.max(ARGV[5], ARGV[6])), ARGV[1])
return 1
