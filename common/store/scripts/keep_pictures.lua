-- Keep small pictures of a stream, and pin some to what they show. All bounds hold afterwards.
--
-- KEYS[1] pictures   hash: picture id -> JPEG
-- KEYS[2] notes      hash: picture id -> what it shows, JSON
-- KEYS[3] ring       sorted set: picture id -> when it was kept; the latest ones
-- KEYS[4] pins       hash: name of a pin -> JSON: at, when it was set last, and ids; pinned pictures outlive the ring
-- KEYS[5] pending    sorted set: chunk id -> order
-- ARGV[1] the plan, JSON with named fields; `PictureStore` writes it:
--   now, retention   seconds since the epoch; s that a picture is kept
--   most, bytes      pictures in the ring; bytes of all pictures, pinned ones included
--   most_pins        pins of a stream
--   chunk            id of the chunk that the pictures are of; '' where none are added
--   add              id, note (JSON) of each
--   pins             name, ids, most, first: the pin keeps the first ids that it is given (true), or the latest
-- ARGV[2..]          JPEGs, in the order of `add`
-- Result: how many pictures were added.
--
-- Promise: a picture is kept once, and only of a chunk that waits to be reduced: what is redelivered later, or belongs
-- to a stream that was forgotten, leaves nothing.
local plan = cjson.decode(ARGV[1])
local added = 0
if #plan.add > 0 and redis.call('ZSCORE', KEYS[5], plan.chunk) then
    for i, row in ipairs(plan.add) do
        if redis.call('HSETNX', KEYS[1], row.id, ARGV[1 + i]) == 1 then
            redis.call('HSET', KEYS[2], row.id, row.note)
            redis.call('ZADD', KEYS[3], plan.now + i * 1e-6, row.id) -- in the order of the frames
            added = added + 1
        end
    end
end

local pins = {}
local stored = redis.call('HGETALL', KEYS[4])
for i = 1, #stored, 2 do
    pins[stored[i]] = cjson.decode(stored[i + 1])
end
for _, pin in ipairs(plan.pins) do
    local known = pins[pin.name] or {ids = {}}
    local ids, seen = {}, {}
    for _, list in ipairs({known.ids, pin.ids}) do
        for _, id in ipairs(list) do
            if not seen[id] and redis.call('HEXISTS', KEYS[1], id) == 1 then
                seen[id] = true
                ids[#ids + 1] = id
            end
        end
    end
    while #ids > pin.most do
        table.remove(ids, pin.first and #ids or 1)
    end
    if #ids > 0 then
        pins[pin.name] = {at = plan.now, ids = ids, changed = true}
    end
end

local uses = {} -- pins that hold a picture
for _, pin in pairs(pins) do
    for _, id in ipairs(pin.ids) do
        uses[id] = (uses[id] or 0) + 1
    end
end
-- What a pin let go of, and is no longer in the ring, belongs to nobody.
local total = 0
for _, id in ipairs(redis.call('HKEYS', KEYS[1])) do
    if not uses[id] and not redis.call('ZSCORE', KEYS[3], id) then
        redis.call('HDEL', KEYS[1], id)
        redis.call('HDEL', KEYS[2], id)
    else
        total = total + redis.call('HSTRLEN', KEYS[1], id)
    end
end
local function remove(id)
    total = total - redis.call('HSTRLEN', KEYS[1], id)
    redis.call('HDEL', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
end
local function drop_oldest_pin()
    local oldest
    for name, pin in pairs(pins) do
        if not oldest or pin.at < pins[oldest].at or (pin.at == pins[oldest].at and name < oldest) then
            oldest = name
        end
    end
    for _, id in ipairs(pins[oldest].ids) do
        uses[id] = uses[id] - 1
        if uses[id] == 0 then
            uses[id] = nil
            if not redis.call('ZSCORE', KEYS[3], id) then
                remove(id)
            end
        end
    end
    pins[oldest] = nil
    redis.call('HDEL', KEYS[4], oldest)
end
local function oldest_in_ring()
    local row = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
    return row[1], tonumber(row[2])
end

local count = redis.call('ZCARD', KEYS[3])
local id, at = oldest_in_ring()
while id and (count > plan.most or at < plan.now - plan.retention or (total > plan.bytes and count > 1)) do
    redis.call('ZREM', KEYS[3], id)
    count = count - 1
    if not uses[id] then
        remove(id)
    end
    id, at = oldest_in_ring()
end
local left = 0
for _ in pairs(pins) do
    left = left + 1
end
while left > 0 do
    local earliest = plan.now
    for _, pin in pairs(pins) do
        earliest = math.min(earliest, pin.at)
    end
    if left <= plan.most_pins and total <= plan.bytes and earliest >= plan.now - plan.retention then
        break
    end
    drop_oldest_pin()
    left = left - 1
end
for name, pin in pairs(pins) do
    if pin.changed then
        redis.call('HSET', KEYS[4], name, cjson.encode({at = pin.at, ids = pin.ids}))
    end
end
if id and total > plan.bytes then -- one picture alone exceeds the bound
    redis.call('ZREM', KEYS[3], id)
    remove(id)
end
for i = 1, 4 do
    redis.call('EXPIRE', KEYS[i], plan.retention)
end
return added
