-- Return the positions of a Stream and of the group that reads it, without sending its entries to the client.
--
-- KEYS[1] stream  Stream of camera events
-- ARGV[1] name of the group
-- Result: the Stream's last id, the group's last delivered id ('' if there is no such group), Redis' clock in ms, entries.
local function field(flat, name)
    for i = 1, #flat, 2 do
        if flat[i] == name then
            return flat[i + 1]
        end
    end
    return ''
end

local info = redis.call('XINFO', 'STREAM', KEYS[1])
local delivered = ''
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    if field(group, 'name') == ARGV[1] then
        delivered = field(group, 'last-delivered-id')
    end
end
local now = redis.call('TIME')
return {field(info, 'last-generated-id'), delivered, now[1] .. string.format('%03d', math.floor(now[2] / 1000)),
    field(info, 'length')}
