-- Make a record the champion, if the champion is still the one it was compared with.
--
-- KEYS[1] champion   string: ChampionRecord as JSON
-- KEYS[2] history    list: every ChampionRecord there ever was, oldest first; only ever appended to
-- KEYS[3] events     Stream of events
-- KEYS[4] held       hash: model -> Hold as JSON
-- KEYS[5] streams    sorted set: stream -> time of its last accepted batch
-- KEYS[6..] inbox    list: notes of a stream, as JSON, oldest first; one for each note
-- ARGV[1] version of the champion that was compared (0: there is none)  [2] its record as stored, '' if only the version
-- must still be the same  [3] new record  [4] model  [5] Hold as JSON, '' to leave it as it is  [6] most events kept
-- ARGV[7] JSON list of events, each a flat list of its fields  [8] JSON list of notes: stream, note (as JSON)
-- Result: 1 promoted, 0 the champion had changed.
--
-- Promise: the events are announced and the notes are left if and only if it is promoted; a stream that was forgotten
-- gets none. Versions only grow, and two retrainings cannot both win; a condition that was dropped since the champion was
-- read does not come back. The same record again (a client whose answer was lost on the way asks twice) is promoted once.
local now = redis.call('GET', KEYS[1])
if now == ARGV[3] then
    return 1
end
local version = 0
if now then
    version = cjson.decode(now)['version']
end
if version ~= tonumber(ARGV[1]) or (ARGV[2] ~= '' and now ~= ARGV[2]) then
    return 0
end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('RPUSH', KEYS[2], ARGV[3])
if ARGV[5] ~= '' then
    redis.call('HSET', KEYS[4], ARGV[4], ARGV[5])
end
for _, fields in ipairs(cjson.decode(ARGV[7])) do
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], '*', unpack(fields))
end
for i, row in ipairs(cjson.decode(ARGV[8])) do
    if redis.call('ZSCORE', KEYS[5], row.stream) then
        redis.call('RPUSH', KEYS[5 + i], row.note)
    end
end
return 1
