-- Sends the requests of a file in order, over and over: `wrk -s each.lua URL -- FILE`.
-- The file holds whole requests, each ended by a NUL.
local text, at

function init(args)
  local file = assert(io.open(args[1], "rb"))
  text, at = file:read("*a"), 1
  file:close()
end

function request()
  local stop = text:find("\0", at, true)
  if not stop then
    at = 1
    stop = text:find("\0", at, true)
  end
  local one = text:sub(at, stop - 1)
  at = stop + 1
  return one
end
