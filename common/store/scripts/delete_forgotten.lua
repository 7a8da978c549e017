-- Delete keys of a stream that was forgotten, unless footage of it has come anew since.
--
-- KEYS[1] streams  sorted set: stream -> time of its last accepted batch
-- KEYS[2..]        the keys
-- ARGV[1] stream
-- Result: how many were deleted; -1 if the stream is there again.
--
-- Promise: of a batch that is accepted meanwhile nothing is deleted, or a part would be missing for ever.
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then
    return -1
end
local count = 0
for i = 2, #KEYS do
    count = count + redis.call('DEL', KEYS[i])
end
return count
