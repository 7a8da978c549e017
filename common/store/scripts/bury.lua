-- Write a dead letter, once.
--
-- KEYS[1] dead    Stream of dead letters
-- KEYS[2] ids     hash: letter id -> its entry on the Stream
-- ARGV[1] letter id  [2] most entries kept  [3..] fields of the entry: name, value, name, value, ...
-- Result: 1 written, 0 a dead letter with this id exists already.
--
-- Promise: a dead letter is on the Stream once; one that was trimmed is written again.
local known = redis.call('HGET', KEYS[2], ARGV[1])
if known and #redis.call('XRANGE', KEYS[1], known, known) > 0 then
    return 0
end
local fields = {}
for i = 3, #ARGV do
    fields[#fields + 1] = ARGV[i]
end
local entry = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(fields))
redis.call('HSET', KEYS[2], ARGV[1], entry)
return 1
