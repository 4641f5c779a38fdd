-- Sends requests of a file at random, each with the same probability:
-- `wrk -s pick.lua URL -- FILE SEED`. The file holds whole requests, each ended by a NUL.
local requests = {}

function init(args)
  local file = assert(io.open(args[1], "rb"))
  for text in file:read("*a"):gmatch("([^%z]+)%z") do
    requests[#requests + 1] = text
  end
  file:close()
  math.randomseed(tonumber(args[2]))
end

function request()
  return requests[math.random(#requests)]
end
