"""The server-side script that stores events: history, readable details and event log in one atomic step."""

from __future__ import annotations

from hashlib import sha1
from typing import Final

from app.contract import event_log
from app.storage.event_codec import RECORD_BYTES

APPEND_SCRIPT: Final = f"""
-- KEYS: for each user the packed string and the details hash, then the streams.
-- ARGV: kept events, ttl ms, log length, log retention ms, users;
--       for each user: events, number of the stream, token;
--       for each event: record, details, item, action, timestamp, event id.
-- Nothing is written before every key has been checked, so a refused call leaves no half of itself behind.
local SIZE = {RECORD_BYTES}
local kept_bytes, ttl_ms = tonumber(ARGV[1]) * SIZE, ARGV[2]
local log_length, log_ms, users = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

for position, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  local wanted = position > 2 * users and 'stream' or (position % 2 == 1 and 'string' or 'hash')
  if kind ~= 'none' and kind ~= wanted then
    return redis.error_reply('WRONGTYPE a key holds a ' .. kind .. ', expected a ' .. wanted)
  end
end

local function holds(packed, event_key)
  local found = 1
  while true do
    found = string.find(packed, event_key, found, true)
    if not found then return false end
    if found % SIZE == 17 then return true end
    found = found + 1
  end
end

local function place_of(packed, time)
  local place = #packed
  while place > 0 and struct.unpack('<i8', packed, place - SIZE + 1) > time do place = place - SIZE end
  return place
end

local added, at = 0, 6
for user = 1, users do
  local packed_key, details_key = KEYS[2 * user - 1], KEYS[2 * user]
  local count, stream, token = tonumber(ARGV[at]), KEYS[2 * users + tonumber(ARGV[at + 1])], ARGV[at + 2]
  local packed = redis.call('GET', packed_key) or ''
  packed = string.sub(packed, 1, #packed - #packed % SIZE)
  local before = packed
  at = at + 3
  for _ = 1, count do
    local record, event_key = ARGV[at], string.sub(ARGV[at], 17, 24)
    if not holds(packed, event_key) then
      added = added + 1
      local place = place_of(packed, struct.unpack('<i8', record))
      packed = string.sub(packed, 1, place) .. record .. string.sub(packed, place + 1)
      redis.call('HSET', details_key, event_key, ARGV[at + 1])
      while #packed > kept_bytes do
        redis.call('HDEL', details_key, string.sub(packed, 17, 24))
        packed = string.sub(packed, SIZE + 1)
      end
      if log_length > 0 then
        redis.call('XADD', stream, 'MAXLEN', '~', log_length, '*',
          '{event_log.USER.decode()}', token, '{event_log.ITEM.decode()}', ARGV[at + 2],
          '{event_log.ACTION.decode()}', ARGV[at + 3], '{event_log.TIMESTAMP_MS.decode()}', ARGV[at + 4],
          '{event_log.EVENT_ID.decode()}', ARGV[at + 5])
      end
    end
    at = at + 6
  end
  if packed ~= before then redis.call('SET', packed_key, packed) end
  redis.call('PEXPIRE', packed_key, ttl_ms)
  redis.call('PEXPIRE', details_key, ttl_ms)
end

if log_length > 0 then
  local now = redis.call('TIME')
  local oldest = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000) - log_ms)
  for position = 2 * users + 1, #KEYS do
    redis.call('XTRIM', KEYS[position], 'MINID', oldest)
    redis.call('PEXPIRE', KEYS[position], ARGV[4])
  end
end
return added
"""

APPEND_SHA: Final = sha1(APPEND_SCRIPT.encode(), usedforsecurity=False).hexdigest()
"""How Redis names the script."""
