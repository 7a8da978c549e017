-- Say what came of learning, unless the stream was forgotten, or began to learn anew, meanwhile.
--
-- KEYS[1] learning   hash: `plan`, its `id`, and of each epoch `fit:EPOCH`, `status:EPOCH`, `coverage:EPOCH`
-- ARGV[1] id of the plan  [2..] names and values of fields
-- Result: 1 if they were written.
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then
    return 0
end
for i = 2, #ARGV, 2 do
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
return 1
