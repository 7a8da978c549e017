-- Make a challenger the champion, if the champion is still the one it was compared with.
--
-- KEYS[1] champion   string: ChampionRecord as JSON
-- KEYS[2] history    list: every ChampionRecord there ever was, oldest first; only ever appended to
-- KEYS[3] events     Stream of events
-- ARGV[1] version of the champion that was compared (0: there is none)  [2] new record
-- ARGV[3] most events kept  [4] 1 to announce it  [5..] fields of the event
-- Result: 1 promoted, 0 the champion had changed.
--
-- Promise: versions only grow, model and baseline switch together, and two retrainings cannot both win.
local now = redis.call('GET', KEYS[1])
local version = 0
if now then
    version = cjson.decode(now)['version']
end
if version ~= tonumber(ARGV[1]) then
    return 0
end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('RPUSH', KEYS[2], ARGV[2])
if ARGV[4] == '1' then
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', unpack(ARGV, 5))
end
return 1
