-- Replace the champion's record by one of the same version, if it is still the one that was read.
--
-- KEYS[1] champion   string: ChampionRecord as JSON
-- KEYS[2] history    list: every ChampionRecord there ever was, oldest first; the last one is the champion
-- KEYS[3] events     Stream of events
-- ARGV[1] the record that was read, as stored  [2] the new record  [3] most events kept  [4] JSON list of events, each a
-- flat list of its fields
-- Result: 1 replaced, 0 the record had changed.
--
-- Promise: conditions are added and dropped without losing a promotion or another change of conditions in between.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('LSET', KEYS[2], -1, ARGV[2])
for _, fields in ipairs(cjson.decode(ARGV[4])) do
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', unpack(fields))
end
return 1
