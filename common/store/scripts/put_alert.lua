-- Note an alert that is to be sent, once for each change of an incident.
--
-- KEYS[1] said    hash: incident -> what was noted last, the entry of the event that it was noted of, the alert's id
-- KEYS[2] alerts  hash: alert id -> the alert
-- KEYS[3] due     sorted set: alert id -> when it is sent next
-- ARGV[1] incident  [2] change: began or over  [3], [4] the event's entry on its Stream: milliseconds, number
--     [5] alert id  [6] the alert, empty: nobody is told  [7] when it is due
-- Result: 1 noted, 0 not: that is what was noted last, or the event is not later, or nobody was told that it began; and
--     the id of the alert before it, '-' if there was none.
--
-- Promise: whatever the order in which events come, and how often, a change is noted once.
local incident, change, alert = ARGV[1], ARGV[2], ARGV[6]
local before, told_by = nil, '-'
local said = redis.call('HGET', KEYS[1], incident)
if said then
    local ms, number
    before, ms, number, told_by = string.match(said, '^(%a+) (%d+)%-(%d+) (.+)$')
    ms, number = tonumber(ms), tonumber(number)
    local now_ms, now_number = tonumber(ARGV[3]), tonumber(ARGV[4])
    if now_ms < ms or (now_ms == ms and now_number <= number) then
        return {0, '-'}
    end
end
local now = change
local told = alert ~= '' and before ~= change
if change == 'over' and before ~= 'began' then
    now, told = before or 'over', false
elseif alert == '' and before ~= change then
    now = 'quiet'
end
local earlier = told_by
if told then
    told_by = ARGV[5]
end
redis.call('HSET', KEYS[1], incident, now .. ' ' .. ARGV[3] .. '-' .. ARGV[4] .. ' ' .. told_by)
if not told then
    return {0, earlier}
end
redis.call('HSET', KEYS[2], ARGV[5], alert)
redis.call('ZADD', KEYS[3], ARGV[7], ARGV[5])
return {1, earlier}
