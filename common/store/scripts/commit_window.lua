-- Move finished chunks from a stream's order into its window, with the verdicts that follow. All or nothing.
--
-- KEYS[1] window     hash: version, state, at, verdict (the latest, as JSON)
-- KEYS[2] pending    sorted set: chunk id -> order
-- KEYS[3] events     Stream of events
-- KEYS[4] evidence   list: events whose evidence is kept, oldest first
-- KEYS[5] frames     list: the latest frames' features, in blocks
-- ARGV[1] version of the window that was read  [2] new state  [3] now  [4] retention, s  [5] most events kept
-- ARGV[6] prefix of chunk keys  [7] prefix of batch keys  [8] prefix of evidence keys
-- ARGV[9] prefix of data keys  [10] how long an image from a camera event is kept once it is judged, s
-- ARGV[11] 1: from now on the latest frames are [12], perhaps none; 0: the chunks' features are added to them
-- ARGV[13] number of chunks, then for each: chunk id, batch id, frames, 1 if dead,
--         and the event's fields to be announced should the batch end here (id, type, stream, model, uri)
-- then    number of verdicts, then for each: verdict JSON, evidence ('' for PASS), event id, type, stream, model
-- Result: 0 somebody else committed first; 1 committed; 2 committed, and the next chunk in order is finished too.
--
-- Promise: a chunk's frames enter the window exactly once, in order; window, verdicts and events agree.
local MOST_EVIDENCE = 64 -- windows of a stream
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if version ~= ARGV[1] then
    return 0
end
local at = 13
local chunks = tonumber(ARGV[at])
local head = redis.call('ZRANGE', KEYS[2], 0, chunks - 1)
for i = 1, chunks do
    if head[i] ~= ARGV[at + 1 + (i - 1) * 9] then
        return 0
    end
end

local function announce(id, kind, stream, model, data)
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[5], '*',
        'id', id, 'type', kind, 'time', ARGV[3], 'stream', stream, 'model', model, 'data', data)
end

if ARGV[11] == '1' then
    redis.call('DEL', KEYS[5])
    if ARGV[12] ~= '' then
        redis.call('RPUSH', KEYS[5], ARGV[12])
    end
end
local ended = {}
for i = 1, chunks do
    local base = at + (i - 1) * 9
    local id, batch = ARGV[base + 1], ARGV[7] .. ARGV[base + 2]
    if ARGV[11] == '0' and ARGV[base + 3] ~= '0' then
        redis.call('RPUSH', KEYS[5], redis.call('HGET', ARGV[6] .. id, 'features'))
    end
    redis.call('ZREM', KEYS[2], id)
    redis.call('DEL', ARGV[6] .. id)
    redis.call('HINCRBY', batch, 'frames', ARGV[base + 3])
    redis.call('HINCRBY', batch, 'dead', ARGV[base + 4])
    if redis.call('HINCRBY', batch, 'unreduced', -1) == 0 then
        ended[#ended + 1] = base
        -- Only that it was there has to be known from now on.
        redis.call('HDEL', batch, 'message')
        redis.call('EXPIRE', batch, redis.call('HGET', batch, 'keep') or ARGV[4])
    end
    -- An image that was given up is needed to try again.
    redis.call('EXPIRE', ARGV[9] .. ARGV[base + 2], ARGV[base + 4] == '0' and ARGV[10] or ARGV[4])
end
redis.call('HSET', KEYS[1], 'version', version + 1, 'state', ARGV[2], 'at', ARGV[3])

at = at + chunks * 9 + 1
for i = 1, tonumber(ARGV[at]) do
    local base = at + (i - 1) * 6
    local verdict, evidence = ARGV[base + 1], ARGV[base + 2]
    redis.call('HSET', KEYS[1], 'verdict', verdict)
    if evidence ~= '' then
        redis.call('SET', ARGV[8] .. ARGV[base + 3], evidence, 'EX', ARGV[4])
        -- A stream that fails for days must not fill Redis: the latest evidence is what a retraining learns from.
        redis.call('RPUSH', KEYS[4], ARGV[base + 3])
        redis.call('EXPIRE', KEYS[4], ARGV[4])
        while redis.call('LLEN', KEYS[4]) > MOST_EVIDENCE do
            redis.call('DEL', ARGV[8] .. redis.call('LPOP', KEYS[4]))
        end
    end
    announce(ARGV[base + 3], ARGV[base + 4], ARGV[base + 5], ARGV[base + 6], verdict)
end
for _, base in ipairs(ended) do
    local batch = ARGV[7] .. ARGV[base + 2]
    local counts = redis.call('HMGET', batch, 'frames', 'dead')
    announce(ARGV[base + 5], ARGV[base + 6], ARGV[base + 7], ARGV[base + 8],
        string.format('{"batch_id":%s,"stream":%s,"uri":%s,"frames":%d,"dead_chunks":%d}',
            cjson.encode(ARGV[base + 2]), cjson.encode(ARGV[base + 7]), cjson.encode(ARGV[base + 9]),
            counts[1], counts[2]))
end

local next_id = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
if next_id and redis.call('HEXISTS', ARGV[6] .. next_id, 'message') == 1 then
    return 2
end
return 1
