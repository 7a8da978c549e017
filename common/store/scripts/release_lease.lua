-- Give a lease back, or prolong it, if it is still ours.
--
-- KEYS[1] lease   string: the holder's token
-- ARGV[1] token  [2] new lifetime in ms, 0 to give it back
-- Result: 1 done, 0 it was somebody else's or had run out.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
if ARGV[2] == '0' then
    redis.call('DEL', KEYS[1])
else
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
