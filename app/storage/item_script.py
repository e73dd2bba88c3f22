"""The server-side script that stores changes of items under new versions."""

from __future__ import annotations

from hashlib import sha1
from typing import Final

STORE_ITEMS_SCRIPT: Final = """
-- KEYS: items hash, changes sorted set, version counter, epoch, then keys that get a copy of the version (maybe none).
-- ARGV: a name for the epoch if there is none, then item id and packed change, in turn. Each change gets a version of
-- its own; returns the last one.
local wanted = {'hash', 'zset', 'string'}
for position, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'none' and kind ~= (wanted[position] or 'string') then
    return redis.error_reply('WRONGTYPE a key holds a ' .. kind)
  end
end
local version = 0
redis.call('SET', KEYS[4], ARGV[1], 'NX')
for at = 2, #ARGV, 2 do
  version = redis.call('INCR', KEYS[3])
  redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
  redis.call('ZADD', KEYS[2], version, ARGV[at])
end
for position = 5, #KEYS do redis.call('SET', KEYS[position], version) end
return version
"""

STORE_ITEMS_SHA: Final = sha1(STORE_ITEMS_SCRIPT.encode(), usedforsecurity=False).hexdigest()
"""How Redis names the script."""
