-- Delete events that are older than the retention, one page of the Stream per call.
--
-- KEYS[1] events     Stream of events
-- ARGV[1] entry id to continue after ('-' at first)  [2] entries per page  [3] now, s  [4] retention, s
-- ARGV[5] JSON: stream -> its latest capture time, for streams that have one
-- Result: the last entry id of the page, or '' at the end; how many events were deleted.
--
-- Promise: the age of a verdict is measured in capture time, so that a fortnight of footage that was judged in an hour
-- is kept as long as if it had taken a fortnight. The age of every other event is measured by the wall clock.
local from = ARGV[1] == '-' and '-' or '(' .. ARGV[1]
local page = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', ARGV[2])
local latest, now, retention = cjson.decode(ARGV[5]), tonumber(ARGV[3]), tonumber(ARGV[4])
local forgotten = 0
for _, entry in ipairs(page) do
    local event = {}
    for i = 1, #entry[2], 2 do
        event[entry[2][i]] = entry[2][i + 1]
    end
    local clock = latest[event.stream or '']
    local taken = clock and tonumber(string.match(event.data or '', '"taken_to":([%d.eE+]+)'))
    local age
    if taken then
        age = clock - taken
    else
        age = now - (tonumber(event.time) or now)
    end
    if age > retention then
        forgotten = forgotten + redis.call('XDEL', KEYS[1], entry[1])
    end
end
return { #page > 0 and page[#page][1] or '', forgotten }
