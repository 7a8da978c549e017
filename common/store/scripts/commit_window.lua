-- Move finished chunks from a stream's order into its window, with the verdicts that follow. All or nothing.
--
-- KEYS[1] window     hash: version, state, at, verdict (the latest, as JSON), taken_to (the latest capture time judged)
-- KEYS[2] pending    sorted set: chunk id -> order
-- KEYS[3] events     Stream of events
-- KEYS[4] evidence   list: `event id|capture time` of the FAILs whose evidence is kept, oldest first
-- KEYS[5] frames     list: the latest frames' features, in blocks
-- ARGV[1] the plan, JSON with named fields; `StreamStore.commit` writes it:
--   version          of the window that was read
--   now              seconds since the epoch
--   retention        s, of evidence, by the clock and by capture time, and of finished batches
--   data_retention   s, of an image from a camera event once it is judged
--   max_events       most entries of the Stream of events
--   prefix           of the keys of chunk, batch, evidence, data
--   replace_frames   true: the latest frames are ARGV[3] from now on; false: the chunks' features are added to them
--   chunks           id, batch, frames, dead (1 if given up), and the event to announce should the batch end with it
--   verdicts         event, verdict (JSON), failed, taken_to (capture time of the last frame, or null)
-- ARGV[2] new state  [3] latest frames, or ''  [4..] evidence of the failed verdicts, in their order
-- Result: 0 another reducer committed first; 1 committed; 2 committed, and the next chunk in order is finished too.
--
-- Promise: a chunk's frames enter the window exactly once, in order; window, verdicts and events agree.
local MOST_EVIDENCE = 64 -- windows per stream
local plan = cjson.decode(ARGV[1])
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if version ~= plan.version then
    return 0
end
local head = redis.call('ZRANGE', KEYS[2], 0, #plan.chunks - 1)
for i, chunk in ipairs(plan.chunks) do
    if head[i] ~= chunk.id then
        return 0
    end
end

local function announce(event, data)
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', plan.max_events, '*', 'id', event.id, 'type', event.type,
        'time', plan.now, 'stream', event.stream, 'model', event.model, 'data', data)
end

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
    redis.call('ZREM', KEYS[2], chunk.id)
    redis.call('DEL', key)
    redis.call('HINCRBY', batch, 'frames', chunk.frames)
    redis.call('HINCRBY', batch, 'dead', chunk.dead)
    if redis.call('HINCRBY', batch, 'unreduced', -1) == 0 then
        ended[#ended + 1] = chunk
        -- From now on it is enough to know that the batch was there.
        redis.call('HDEL', batch, 'message')
        redis.call('EXPIRE', batch, redis.call('HGET', batch, 'keep') or plan.retention)
    end
    -- An image that was given up is needed for a retry.
    redis.call('EXPIRE', plan.prefix.data .. chunk.batch, chunk.dead == 0 and plan.data_retention or plan.retention)
end
redis.call('HSET', KEYS[1], 'version', version + 1, 'state', ARGV[2], 'at', plan.now)

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

local blob = 3
for _, row in ipairs(plan.verdicts) do
    redis.call('HSET', KEYS[1], 'verdict', row.verdict)
    if type(row.taken_to) == 'number' then
        local latest = tonumber(redis.call('HGET', KEYS[1], 'taken_to') or row.taken_to)
        redis.call('HSET', KEYS[1], 'taken_to', string.format('%.3f', math.max(latest, row.taken_to)))
    end
    if row.failed then
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
end
for _, chunk in ipairs(ended) do
    local counts = redis.call('HMGET', plan.prefix.batch .. chunk.batch, 'frames', 'dead')
    announce(chunk.event, string.format('{"batch_id":%s,"stream":%s,"uri":%s,"frames":%d,"dead_chunks":%d}',
        cjson.encode(chunk.batch), cjson.encode(chunk.event.stream), cjson.encode(chunk.event.uri),
        counts[1], counts[2]))
end

local next_id = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
if next_id and redis.call('HEXISTS', plan.prefix.chunk .. next_id, 'message') == 1 then
    return 2
end
return 1
