-- Accept a batch into its stream, once.
--
-- KEYS[1] batch      hash: message, unreduced, frames, dead, keep; there exactly when the batch is known
-- KEYS[2] counter    string: how many chunks the stream has accepted, the source of their order
-- KEYS[3] pending    sorted set: chunk id -> order; what has not yet entered the stream's window
-- KEYS[4] streams    sorted set: stream -> time of its last accepted batch
-- KEYS[5] folder     hash: image -> digest, as accepted; of a folder of images
-- KEYS[6] rhythm     hash: `day:n` -> how many gaps between two batches ended on that day (since 1970, UTC) with a
--                    length, rounded up, of 2^(n/4) s
-- ARGV[1] stream  [2] batch message  [3] now  [4] how long the batch is known once it is done, s
-- ARGV[5] prefix of chunk keys  [6] number of images of the folder, then name and digest of each; then chunk ids in order
-- Result: 1 accepted, 0 known before.
--
-- Promise: a batch is either wholly registered or not at all, its chunks stand after all chunks accepted before, and
-- a folder's listing is known exactly when a batch of its content is. Nothing that is not done runs out. The gaps of
-- the latest days are known, however many batches come: counted by their length they need little room.
local RHYTHM_DAYS = 15 -- a weekend is seen twice in them
local SHORTEST = -40 -- a thousandth of a second

local function count_gap(key, before, now)
    local gap = before and now - before or 0
    if gap <= 0 then -- the first batch, or a clock that was set back
        return
    end
    local day = math.floor(now / 86400)
    local n = math.max(SHORTEST, math.ceil(4 * math.log(gap) / math.log(2) - 1e-9))
    if redis.call('HINCRBY', key, day .. ':' .. n, 1) > 1 then
        return
    end
    for _, field in ipairs(redis.call('HKEYS', key)) do
        if day - tonumber(string.match(field, '^(%d+):')) > RHYTHM_DAYS then
            redis.call('HDEL', key, field)
        end
    end
end

local at = 6 + 2 * tonumber(ARGV[6])
for i = 7, at, 2 do
    redis.call('HSET', KEYS[5], ARGV[i], ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[5], ARGV[4])
if redis.call('EXISTS', KEYS[1]) == 1 then
    -- A source that is still offered (a file that still lies in the folder) must stay known.
    if redis.call('HGET', KEYS[1], 'unreduced') == '0' then
        redis.call('EXPIRE', KEYS[1], ARGV[4])
    end
    return 0
end
local n = #ARGV - at
redis.call('HSET', KEYS[1], 'message', ARGV[2], 'unreduced', n, 'frames', 0, 'dead', 0, 'keep', ARGV[4])
local last = redis.call('INCRBY', KEYS[2], n)
for i = 1, n do
    local id = ARGV[at + i]
    redis.call('ZADD', KEYS[3], last - n + i, id)
    redis.call('HSET', ARGV[5] .. id, 'deliveries', 0)
end
count_gap(KEYS[6], tonumber(redis.call('ZSCORE', KEYS[4], ARGV[1]) or nil), tonumber(ARGV[3]))
redis.call('ZADD', KEYS[4], ARGV[3], ARGV[1])
return 1
