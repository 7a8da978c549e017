-- Keep how a stream learns. Of several that are proposed at the same time, the first is kept.
--
-- KEYS[1] learning   hash: `plan`, its `id`, and what came of it
-- ARGV[1] plan, JSON  [2] its id
-- Result: the plan that is kept.
if redis.call('HSETNX', KEYS[1], 'plan', ARGV[1]) == 1 then
    redis.call('HSET', KEYS[1], 'id', ARGV[2])
end
return redis.call('HGET', KEYS[1], 'plan')
