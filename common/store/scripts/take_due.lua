-- Return the models whose retraining is due, record that it was requested, and postpone each, so that it is returned
-- again if its task is lost.
--
-- KEYS[1] due     sorted set: model -> when its next retraining may start
-- KEYS[2] called  hash: model -> when its retraining was last requested
-- KEYS[3] held    hash: model -> Hold as JSON
-- ARGV[1] now  [2] seconds after which a lost task is sent again
-- Result: list of models.
--
-- Promise: a worker finds its model called only if the cool-down is over, whoever sent the task. A held model stays
-- due and is returned once it is released.
local taken = {}
for _, model in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])) do
    if redis.call('HEXISTS', KEYS[3], model) == 0 then
        redis.call('ZADD', KEYS[1], ARGV[1] + ARGV[2], model)
        redis.call('HSET', KEYS[2], model, ARGV[1])
        table.insert(taken, model)
    end
end
return taken
