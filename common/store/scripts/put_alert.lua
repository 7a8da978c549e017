-- Note an alert that is to be sent, once for each change of an incident.
--
-- KEYS[1] said    hash: incident -> what was noted last, and the time of the event that it was noted of
-- KEYS[2] alerts  hash: alert id -> the alert
-- KEYS[3] due     sorted set: alert id -> when it is sent next
-- ARGV[1] incident  [2] change: began or over  [3] time of the event  [4] alert id  [5] the alert, empty: nobody is told
--     [6] when it is due
-- Result: 1 noted, 0 not: that is what was noted last, or the event is not later, or nobody was told that it began.
--
-- Promise: whatever the order in which events come, and how often, a change is noted once.
local incident, change, time, alert = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[5]
local before, at = nil, nil
local said = redis.call('HGET', KEYS[1], incident)
if said then
    before, at = string.match(said, '^(%a+) (.+)$')
    if time <= tonumber(at) then
        return 0
    end
end
local now = change
local told = alert ~= '' and before ~= change
if change == 'over' and before ~= 'began' then
    now, told = before or 'over', false
elseif alert == '' and before ~= change then
    now = 'quiet'
end
redis.call('HSET', KEYS[1], incident, now .. ' ' .. ARGV[3])
if not told then
    return 0
end
redis.call('HSET', KEYS[2], ARGV[4], alert)
redis.call('ZADD', KEYS[3], ARGV[6], ARGV[4])
return 1
