-- Tells a server that goes on where it was from one that may have forgotten answers that it gave: one that was started
-- again, or a replica that has become the master. Each part of the limits has an epoch, which ends with the run of the
-- server that it began in. What was lent before is over one lease after the new one's begin, and until then nothing comes
-- back; of every limit, a whole burst counts as spent then. So no answer that was lost is one token too many.
-- A part that has no epoch is of a store that is new: its buckets are full.
local function text(number)
    return string.format('%.0f', number)
end

-- The epoch's number, when it began, and since when tokens come back.
local function epoch_of(key, now, lease_us)
    local info = redis.call('INFO', 'server')
    local _, before = string.find(info, 'run_id:', 1, true)
    if not before then
        error('the server tells no run_id')
    end
    local run = string.sub(info, before + 1, before + 40)
    local kept = redis.call('HMGET', key, 'run', 'number', 'since', 'lease')
    local number, since, lease = tonumber(kept[2]) or 0, tonumber(kept[3]) or 0, tonumber(kept[4]) or 0
    if kept[1] == run and lease >= lease_us and since <= now then
        return number, since, since + lease
    end
    if kept[1] ~= run then
        -- The first has nothing before it.
        since = number > 0 and now or 0
        number = number + 1
    end
    since, lease = math.min(since, now), math.max(lease, lease_us)
    redis.call('HSET', key, 'run', run, 'number', text(number), 'since', text(since), 'lease', text(lease))
    return number, since, since + lease
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

