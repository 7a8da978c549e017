-- Write what has become of an alert that was taken, unless somebody else has taken it since.
--
-- KEYS[1] alerts  hash: alert id -> the alert
-- KEYS[2] due     sorted set: alert id -> when it is sent next
-- ARGV[1] alert id  [2] when it would have come back, as it was taken  [3] the alert  [4] when it is due; empty: it is done
-- Result: 1 written, 0 somebody else has it.
--
-- Promise: an alert that is done stays so, and a process that was slow does not send another one's again.
local due = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not due or tonumber(due) ~= tonumber(ARGV[2]) then
    return 0
end
if ARGV[4] == '' then
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('ZREM', KEYS[2], ARGV[1])
else
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
    redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
end
return 1
