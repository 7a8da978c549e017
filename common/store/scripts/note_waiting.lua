-- Note that a stream waits for its model: its footage may be trained on, or a condition of it wants proving again.
--
-- KEYS[1] waiting   hash: stream -> when it was noted first and last, and when it is due, as `first|last|due`
-- KEYS[2] due       sorted set: model -> when its next retraining may start
-- KEYS[3] rejected  hash: stream -> its rejections in a row
-- ARGV[1] model  [2] stream  [3] now  [4] cool-down, s  [5] longest cool-down, s
-- Result: 1 new, 0 it waits already.
--
-- Promise: the first of a burst sets the time, the others join it, and are still noted after a retraining that began
-- before them. Each rejection in a row doubles the stream's own wait, since footage that cannot be learned must not
-- keep the machine busy; a stream that was not rejected waits for a cool-down at most, whoever else waits longer.
local first, due = string.match(redis.call('HGET', KEYS[1], ARGV[2]) or '', '^([^|]+)|[^|]+|([^|]+)$')
if first then
    redis.call('HSET', KEYS[1], ARGV[2], first .. '|' .. ARGV[3] .. '|' .. due)
    return 0
end
local rejections = tonumber(redis.call('HGET', KEYS[3], ARGV[2])) or 0
local own = ARGV[3] + math.min(ARGV[4] * 2 ^ rejections, math.max(ARGV[4], ARGV[5]))
local planned = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]))
if rejections == 0 and planned then
    own = math.min(own, planned)
end
-- All 17 digits, as the score has them: a stream must not be due later than the retraining that it sets.
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3] .. '|' .. ARGV[3] .. '|' .. string.format('%.17g', own))
redis.call('ZADD', KEYS[2], 'LT', own, ARGV[1])
return 1
