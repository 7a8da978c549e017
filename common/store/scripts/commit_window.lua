-- Move finished chunks from a stream's order into its window, with the verdicts that follow. All or nothing.
--
-- KEYS[1] events     Stream of events
-- KEYS[2] window     hash: version, state, at, verdict (the latest, as JSON), taken_to (the latest capture time judged),
--                    incidents (the log of incidents, as JSON), muted and offline (there while an open incident is)
-- KEYS[3] pending    sorted set: chunk id -> order
-- KEYS[4] evidence   list: `event id|capture time` of the windows whose evidence is kept, oldest first
-- KEYS[5] frames     list: the latest frames' features, in blocks
-- KEYS[6] inbox      list: notes about the stream's incidents, as JSON, oldest first
-- KEYS[7] archive    hash: id of a closed incident -> JSON
-- KEYS[8] order      sorted set: id of a closed incident -> when it was closed
-- KEYS[9] streams    sorted set: stream -> time of its last accepted batch
-- KEYS[10] bursts    hash: id of a burst that waits for the learner -> features of its frames
-- KEYS[11] slots     sorted set: id of a burst that was taken -> its slot of capture time
-- ARGV[1] the plan, JSON with named fields; `StreamStore.commit` writes it:
--   version          of the window that was read
--   now              seconds since the epoch
--   retention        s, of evidence, by the clock and by capture time, and of finished batches
--   data_retention   s, of what came with an event once its batch is judged whole
--   max_events       most entries of the Stream of events
--   prefix           of the keys of chunk, batch, evidence, data
--   replace_frames   true: the latest frames are ARGV[3] from now on; false: the chunks' features are added to them
--   applied          notes at the head of the inbox that the new log of incidents contains
--   incidents        that the notes changed: event, id, closed, closed_at, json
--   chunks           id, batch, frames, dead (1 if given up), and the event to announce should the batch end with it
--   verdicts         event, verdict (JSON), departs (its evidence is kept), taken_to (capture time of the last frame,
--                    or null), incidents (that it changed, as above), notices (events that it brings: event, json)
--   bursts           id, slot; one whose slot has a burst already is not taken
--   most_slots       most slots that are remembered, the latest
--   muted, offline   whether an open incident of the new log is
--   stream           its name
--   silent_since     when its last batch was accepted, if the new log says that none came since; else null
-- ARGV[2] new state, or '': it stays  [3] latest frames, or ''  [4] new log of incidents, or '': it stays
-- ARGV[5] the last of the applied notes, or ''  [6..] evidence of the verdicts that depart, in their order, then
-- the features of the bursts
-- Result: 0 another reducer committed first, or a batch came to a stream that is said to be silent; 1 committed; 2 committed, and the next chunk in order is finished too, or
-- more notes wait.
--
-- Promise: a chunk's frames enter the window exactly once, in order, and a note is applied exactly once; window,
-- verdicts, incidents and events agree. A burst is taken with the window that it comes from, and once per slot.
local MOST_EVIDENCE = 64 -- windows per stream
local MOST_CLOSED = 200 -- incidents per stream
local plan = cjson.decode(ARGV[1])
local version = redis.call('HGET', KEYS[2], 'version') or '0'
if version ~= plan.version then
    return 0
end
local head = #plan.chunks > 0 and redis.call('ZRANGE', KEYS[3], 0, #plan.chunks - 1)
for i, chunk in ipairs(plan.chunks) do
    if head[i] ~= chunk.id then
        return 0
    end
end
-- The version tells that nobody else applied these notes; this, that the inbox was not deleted and begun anew.
if plan.applied > 0 and redis.call('LINDEX', KEYS[6], plan.applied - 1) ~= ARGV[5] then
    return 0
end
if type(plan.silent_since) == 'number'
    and tonumber(redis.call('ZSCORE', KEYS[9], plan.stream) or nil) ~= plan.silent_since then
    return 0
end

local function announce(event, data)
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', plan.max_events, '*', 'id', event.id, 'type', event.type,
        'time', plan.now, 'stream', event.stream, 'model', event.model, 'data', data)
end

local function move_incidents(rows)
    for _, row in ipairs(rows) do
        if row.closed then
            redis.call('HSET', KEYS[7], row.id, row.json)
            redis.call('ZADD', KEYS[8], row.closed_at, row.id)
        else -- opened again
            redis.call('HDEL', KEYS[7], row.id)
            redis.call('ZREM', KEYS[8], row.id)
        end
        announce(row.event, row.json)
    end
    while redis.call('ZCARD', KEYS[8]) > MOST_CLOSED do
        redis.call('HDEL', KEYS[7], redis.call('ZPOPMIN', KEYS[8])[1])
    end
end

if plan.applied > 0 then
    redis.call('LTRIM', KEYS[6], plan.applied, -1)
end
if ARGV[4] ~= '' then
    redis.call('HSET', KEYS[2], 'incidents', ARGV[4])
    for _, name in ipairs({'muted', 'offline'}) do
        if plan[name] then
            redis.call('HSET', KEYS[2], name, 1)
        else
            redis.call('HDEL', KEYS[2], name)
        end
    end
end
move_incidents(plan.incidents)
if plan.replace_frames then
    redis.call('DEL', KEYS[5])
    if ARGV[3] ~= '' then
        redis.call('RPUSH', KEYS[5], ARGV[3])
    end
end
local ended = {}
for _, chunk in ipairs(plan.chunks) do
    local key, batch = plan.prefix.chunk .. chunk.id, plan.prefix.batch .. chunk.batch
    if not plan.replace_frames and chunk.frames > 0 then
        redis.call('RPUSH', KEYS[5], redis.call('HGET', key, 'features'))
    end
    redis.call('ZREM', KEYS[3], chunk.id)
    redis.call('DEL', key)
    redis.call('HINCRBY', batch, 'frames', chunk.frames)
    redis.call('HINCRBY', batch, 'dead', chunk.dead)
    if redis.call('HINCRBY', batch, 'unreduced', -1) == 0 then
        ended[#ended + 1] = chunk
        -- From now on it is enough to know that the batch was there.
        redis.call('HDEL', batch, 'message')
        redis.call('EXPIRE', batch, redis.call('HGET', batch, 'keep') or plan.retention)
        -- What was given up, if only in part, is needed for a retry.
        local whole = tonumber(redis.call('HGET', batch, 'dead')) == 0
        redis.call('EXPIRE', plan.prefix.data .. chunk.batch, whole and plan.data_retention or plan.retention)
    end
end
redis.call('HSET', KEYS[2], 'version', version + 1)
if ARGV[2] ~= '' then
    redis.call('HSET', KEYS[2], 'state', ARGV[2], 'at', plan.now)
end

-- Return whether the oldest evidence of the stream is to go: there is too much, or it is older than the retention on
-- the stream's own clock, which is capture time.
local function oldest_expires(taken_to)
    local count = redis.call('LLEN', KEYS[4])
    if count == 0 or count > MOST_EVIDENCE then
        return count > 0
    end
    local taken = string.match(redis.call('LINDEX', KEYS[4], 0), '|(.+)$')
    return taken ~= nil and type(taken_to) == 'number' and taken_to - taken > plan.retention
end

local blob = 5
for _, row in ipairs(plan.verdicts) do
    redis.call('HSET', KEYS[2], 'verdict', row.verdict)
    if type(row.taken_to) == 'number' then
        local latest = tonumber(redis.call('HGET', KEYS[2], 'taken_to') or row.taken_to)
        redis.call('HSET', KEYS[2], 'taken_to', string.format('%.3f', math.max(latest, row.taken_to)))
    end
    if row.departs then
        blob = blob + 1
        redis.call('SET', plan.prefix.evidence .. row.event.id, ARGV[blob], 'EX', plan.retention)
        local taken = type(row.taken_to) == 'number' and string.format('|%.3f', row.taken_to) or ''
        redis.call('RPUSH', KEYS[4], row.event.id .. taken)
        redis.call('EXPIRE', KEYS[4], plan.retention)
    end
    while oldest_expires(row.taken_to) do
        redis.call('DEL', plan.prefix.evidence .. string.match(redis.call('LPOP', KEYS[4]), '^[^|]+'))
    end
    announce(row.event, row.verdict)
    for _, notice in ipairs(row.notices) do
        announce(notice.event, notice.json)
    end
    move_incidents(row.incidents)
end
for _, burst in ipairs(plan.bursts) do
    blob = blob + 1
    if redis.call('ZADD', KEYS[11], 'NX', burst.slot, burst.id) == 1 then
        redis.call('HSET', KEYS[10], burst.id, ARGV[blob])
        redis.call('ZREMRANGEBYRANK', KEYS[11], 0, -1 - plan.most_slots)
    end
end
for _, chunk in ipairs(ended) do
    local counts = redis.call('HMGET', plan.prefix.batch .. chunk.batch, 'frames', 'dead')
    announce(chunk.event, string.format('{"batch_id":%s,"stream":%s,"uri":%s,"frames":%d,"dead_chunks":%d}',
        cjson.encode(chunk.batch), cjson.encode(chunk.event.stream), cjson.encode(chunk.event.uri),
        counts[1], counts[2]))
end

local next_id = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
if next_id and redis.call('HEXISTS', plan.prefix.chunk .. next_id, 'message') == 1 then
    return 2
end
if redis.call('EXISTS', KEYS[6]) == 1 then
    return 2
end
return 1
