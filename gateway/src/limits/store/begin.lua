-- Says that a gateway uses a part: its epoch's number.
local number = epoch_of(KEYS[1], now, tonumber(ARGV[1]))
return number
