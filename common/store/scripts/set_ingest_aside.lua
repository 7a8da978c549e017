-- Rename a Stream of camera events that can no longer be written to, keeping its unread entries, and start it again.
--
-- KEYS[1] stream  Stream of camera events
-- KEYS[2] aside   a name that is not in use
-- ARGV[1] name of the group  [2] the Stream's last id when the problem was found
-- Result: 1 done, 0 another process was first.
--
-- Promise: entries and their pending state are kept under the new name, and the old name can be written to at once.
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
