-- What a host says of one limit (KEYS[1]), and what it is lent: see gateway/limits/src/host.rs. At every lease
--   tokens with hosts + tokens spent that haven't come back <= burst.
-- KEYS[2] is the epoch of the limit's part.
-- A bucket's parts are whole tokens and millionths of millionths of one, each exact in a double.
local host = ARGV[1]
local loan, number = tonumber(ARGV[2]), tonumber(ARGV[3])
local held, spent = tonumber(ARGV[4]), tonumber(ARGV[5])
local needed, liked = tonumber(ARGV[6]), tonumber(ARGV[7])
local tokens_per_s, micro_per_s = tonumber(ARGV[8]), tonumber(ARGV[9])
local burst, version, lease_us = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])

local MICRO, TOKEN = 1000000, 1000000000000
-- A host that wasn't heard of for so many leases is forgotten; what it says then is of a loan that is over.
local REMEMBERED_LEASES = 10
-- Asking again is never in vain for longer, so that what comes home is soon found.
local EMPTY_US_MAX = 1000000
local EMPTY_US_MIN = 1000
local HOME_US = 20000

local function divide(number, by)
    local rest = math.fmod(number, by)
    return (number - rest) / by, rest
end

local epoch, since, fills_from = epoch_of(KEYS[2], now, lease_us)

local bucket = { epoch = epoch, version = version, tokens_per_s = tokens_per_s, micro_per_s = micro_per_s,
    burst = burst, tokens = epoch > 1 and burst or 0, pico = 0, as_of = since }
local hosts = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
    local id = string.match(fields[i], '^h:(.+)$')
    if id then
        local a, b, c, d, e, f = string.match(fields[i + 1], '^(%d+) (%d+) (%d+) (%d+) (%-?%d+) (%d)$')
        hosts[id] = { loan = tonumber(a), number = tonumber(b), held = tonumber(c), spent = tonumber(d),
            expires = tonumber(e), over = f == '1' }
    else
        bucket[fields[i]] = tonumber(fields[i + 1])
    end
end

if bucket.epoch ~= epoch then
    -- What was lent, and to whom, may be more than is known.
    local out = 0
    for id, lent in pairs(hosts) do
        out = out + lent.held
        redis.call('HDEL', KEYS[1], 'h:' .. id)
    end
    bucket.tokens = math.max(burst, bucket.burst, bucket.tokens + out)
    bucket.pico, bucket.epoch, bucket.as_of, hosts = 0, epoch, now, {}
end

-- What has come back since; a clock that went back took nobody's time.
local elapsed = math.max(0, now - math.max(bucket.as_of, fills_from))
local back = math.max(0, bucket.as_of - now)
local seconds, rest_us = divide(elapsed, MICRO)
local carry, pico = divide(bucket.micro_per_s * rest_us, MICRO)
local whole, micro = divide(seconds * bucket.micro_per_s + bucket.tokens_per_s * rest_us + carry, MICRO)
bucket.tokens = bucket.tokens - seconds * bucket.tokens_per_s - whole
bucket.pico = bucket.pico - micro * MICRO - pico
if bucket.pico < 0 then
    bucket.tokens, bucket.pico = bucket.tokens - 1, bucket.pico + TOKEN
end
if bucket.tokens < 0 then
    bucket.tokens, bucket.pico = 0, 0
end
bucket.as_of = now

local forgotten = {}
for id, lent in pairs(hosts) do
    lent.expires = lent.expires - back
    if not lent.over and lent.expires <= now then
        bucket.tokens = bucket.tokens + lent.held
        lent.held, lent.over = 0, true
    end
    if id ~= host and lent.expires + REMEMBERED_LEASES * lease_us <= now then
        table.insert(forgotten, id)
    end
end
for _, id in ipairs(forgotten) do
    hosts[id] = nil
    redis.call('HDEL', KEYS[1], 'h:' .. id)
end

local mine = hosts[host]
if not mine then
    if number > 1 then
        return { 0, 0, 1 }
    end
    mine = { loan = 0, number = 0, held = 0, spent = 0, expires = now + lease_us, over = false }
    hosts[host] = mine
end
if loan > mine.loan then
    bucket.tokens = bucket.tokens + mine.held
    mine.loan, mine.number, mine.held, mine.spent, mine.over = loan, 0, 0, 0, false
end
if loan < mine.loan or number <= mine.number then
    -- It was overtaken, and nobody waits for the answer.
    return { 0, 0, 1 }
end
mine.number = number

local granted, empty_us = 0, 0
if not mine.over then
    -- Never more than it has, so that no host's mistake makes tokens.
    local new = math.max(0, math.min(spent - mine.spent, mine.held))
    mine.held, mine.spent = math.max(0, math.min(held, mine.held - new)), spent
    bucket.tokens = bucket.tokens + new
    if version > bucket.version then
        bucket.version, bucket.burst = version, burst
        bucket.tokens_per_s, bucket.micro_per_s = tokens_per_s, micro_per_s
    end
    local out, live = 0, 0
    for _, lent in pairs(hosts) do
        out = out + lent.held
        live = live + (lent.over and 0 or 1)
    end
    local rate = bucket.tokens_per_s + bucket.micro_per_s / MICRO
    local taken = out + bucket.tokens + (bucket.pico > 0 and 1 or 0)
    local room = rate > 0 and math.max(0, bucket.burst - taken) or 0
    local share = math.floor(math.max(0, room - needed) / (2 * live))
    granted = math.min(room, needed + math.min(liked, share))
    mine.held = mine.held + granted
    mine.expires = now + lease_us
    if granted < needed then
        local missing = out + granted + bucket.tokens + bucket.pico / TOKEN + 1 - bucket.burst
        local soonest = rate > 0 and math.ceil(missing / rate * MICRO) or EMPTY_US_MAX
        soonest = soonest + math.max(0, fills_from - now)
        if out + granted > 0 then
            soonest = math.min(soonest, HOME_US)
        end
        empty_us = math.max(EMPTY_US_MIN, math.min(soonest, EMPTY_US_MAX))
    end
end

local out = 0
for id, lent in pairs(hosts) do
    out = out + lent.held
    redis.call('HSET', KEYS[1], 'h:' .. id, table.concat({ text(lent.loan), text(lent.number), text(lent.held),
        text(lent.spent), text(lent.expires), lent.over and '1' or '0' }, ' '))
end
for name, value in pairs(bucket) do
    redis.call('HSET', KEYS[1], name, text(value))
end
-- As new when all has come back, and the hosts' loans are over by then.
local rate = math.max(bucket.tokens_per_s + bucket.micro_per_s / MICRO, 1 / MICRO)
local full_ms = math.ceil((bucket.tokens + out + 1) / rate * 1000)
redis.call('PEXPIRE', KEYS[1], text(full_ms + math.ceil(2 * lease_us / 1000)))
return { granted, empty_us, mine.over and 1 or 0 }
