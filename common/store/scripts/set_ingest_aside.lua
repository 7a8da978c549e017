-- Give a Stream of camera events that no more can be written to a new start, keeping what is still to be read.
--
-- KEYS[1] stream  Stream of camera events
-- KEYS[2] aside   a name that is not in use
-- ARGV[1] name of the group  [2] the Stream's last id, as it was when the trouble was found
-- Result: 1 done, 0 somebody else was quicker.
--
-- Promise: entries and who has them stay together under the new name, and the old name can be written to at once.
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' and info[i + 1] ~= ARGV[2] then
        return 0
    end
end
if redis.call('RENAMENX', KEYS[1], KEYS[2]) == 0 then
    return 0
end
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
return 1
