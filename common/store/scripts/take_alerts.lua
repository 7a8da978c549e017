-- Take alerts that are due. They come back after a while, unless they are settled: whoever took them may have died.
--
-- KEYS[1] alerts  hash: alert id -> the alert
-- KEYS[2] due     sorted set: alert id -> when it is sent next
-- ARGV[1] now  [2] when they come back  [3] most alerts
-- Result: the alerts, those due first coming first.
--
-- Promise: an alert is with one process at a time.
local ids = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
local found = {}
for _, id in ipairs(ids) do
    local alert = redis.call('HGET', KEYS[1], id)
    if alert then
        redis.call('ZADD', KEYS[2], ARGV[2], id)
        found[#found + 1] = alert
    else
        redis.call('ZREM', KEYS[2], id)
    end
end
return found
