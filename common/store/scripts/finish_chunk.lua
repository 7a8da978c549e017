-- Record the outcome of a chunk: its features, or that it was given up. The first outcome recorded is kept.
--
-- KEYS[1] chunk      hash: sent_at, deliveries, and once finished: message, and features or dead
-- KEYS[2] pending    sorted set: chunk id -> order
-- KEYS[3] dead       Stream of dead letters
-- KEYS[4] dead ids   hash: letter id -> entry
-- KEYS[5] cost       string: seconds of work per frame of this stream, a running mean
-- ARGV[1] chunk id  [2] chunk message  [3] features, or '' for a chunk given up
-- ARGV[4] letter id, for a chunk given up  [5] most dead letters kept  [6] seconds of work per frame, or ''
-- ARGV[7] how long the cost is known, s  [8..] fields of the letter
-- Result: 1 the chunk heads its stream's order, so a reducer can go on; 0 it does not; -1 it is not pending.
--
-- Promise: a chunk is finished once, however often its task is delivered, and until it is reduced the result is the
-- same each time, so that a task that died before sending `reduce` sends it when it runs again.
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
    return -1
end
if redis.call('HEXISTS', KEYS[1], 'message') == 0 then
    redis.call('HSET', KEYS[1], 'message', ARGV[2])
    if ARGV[4] == '' then
        redis.call('HSET', KEYS[1], 'features', ARGV[3])
        if ARGV[6] ~= '' then
            local known = tonumber(redis.call('GET', KEYS[5]) or ARGV[6])
            redis.call('SET', KEYS[5], string.format('%.6f', 0.7 * known + 0.3 * ARGV[6]), 'EX', ARGV[7])
        end
    else
        redis.call('HSET', KEYS[1], 'dead', ARGV[4])
        local known = redis.call('HGET', KEYS[4], ARGV[4])
        if not known or #redis.call('XRANGE', KEYS[3], known, known) == 0 then
            local entry = redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[5], '*', unpack(ARGV, 8))
            redis.call('HSET', KEYS[4], ARGV[4], entry)
        end
    end
end
if redis.call('ZRANGE', KEYS[2], 0, 0)[1] == ARGV[1] then
    return 1
end
return 0
