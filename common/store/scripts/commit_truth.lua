-- Move tracks of truth on: rows that were judged go, verdicts are announced and left for the incidents. All or nothing.
--
-- KEYS[1] events   Stream of events
-- KEYS[2] truth    hash: taken (rows so far), version (commits so far), state:TRACK, progress:TRACK
-- KEYS[3] tracks   sorted set: track -> number of the row that it got last
-- KEYS[4] inbox    list: notes about the stream's incidents, as JSON, oldest first
-- KEYS[5] streams  sorted set: stream -> time of its last accepted batch
-- KEYS[6] due      set: streams whose rows have to be looked at
-- ARGV[1] the plan, JSON with named fields; `TruthStore.commit` writes it:
--   stream      its name
--   version     of what was read
--   taken       rows when it was read
--   now         seconds since the epoch
--   max_events  most entries of the Stream of events
--   rows        prefix of the keys of rows
--   tracks      id, state, progress, used (ids of rows that do not wait any more)
--   verdicts    event (id, type, stream, model), json, note
-- Result: 0 another process committed first, or the stream was forgotten; 1 committed; 2 rows came meanwhile.
--
-- Promise: a row is used once, and verdicts, notes and what waits agree.
local plan = cjson.decode(ARGV[1])
if not redis.call('ZSCORE', KEYS[5], plan.stream) then
    redis.call('SREM', KEYS[6], plan.stream)
    return 0
end
if (redis.call('HGET', KEYS[2], 'version') or '0') ~= plan.version then
    return 0
end
for _, track in ipairs(plan.tracks) do
    for _, id in ipairs(track.used) do -- else the stream was forgotten and begun anew, or the track was given up
        if redis.call('HEXISTS', plan.rows .. track.id, id) == 0 then
            return 0
        end
    end
end
for _, track in ipairs(plan.tracks) do
    redis.call('HSET', KEYS[2], 'state:' .. track.id, track.state, 'progress:' .. track.id, track.progress)
    for _, id in ipairs(track.used) do
        redis.call('HDEL', plan.rows .. track.id, id)
    end
end
for _, row in ipairs(plan.verdicts) do
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', plan.max_events, '*', 'id', row.event.id, 'type', row.event.type,
        'time', plan.now, 'stream', row.event.stream, 'model', row.event.model, 'data', row.json)
    redis.call('RPUSH', KEYS[4], row.note)
end
redis.call('HINCRBY', KEYS[2], 'version', 1)
if (redis.call('HGET', KEYS[2], 'taken') or '0') ~= plan.taken then
    return 2
end
redis.call('SREM', KEYS[6], plan.stream)
return 1
