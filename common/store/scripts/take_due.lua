-- Name the models whose retraining is due, and put each off so that it is named again should its task be lost.
--
-- KEYS[1] due   sorted set: model -> when its next retraining may start
-- ARGV[1] now  [2] seconds after which a lost task is sent again
-- Result: list of models.
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
for _, model in ipairs(due) do
    redis.call('ZADD', KEYS[1], ARGV[1] + ARGV[2], model)
end
return due
