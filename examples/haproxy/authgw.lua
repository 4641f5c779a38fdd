-- Asks authgw about every request, on HAProxy's own HTTP client (2.6 or newer).
-- A request passes only if this sets txn.authgw to "allowed".

local GATEWAY = os.getenv("AUTHGW_URL") or "http://127.0.0.1:8080"
local IDENTITY = { "remote-user", "remote-groups", "remote-email", "remote-name" }

-- What belongs to a connection or a body, or speaks about the request in our name.
local NOT_ASKED = {
  ["host"] = true, ["content-length"] = true, ["transfer-encoding"] = true, ["expect"] = true,
  ["upgrade"] = true, ["te"] = true, ["trailer"] = true, ["keep-alive"] = true,
  ["connection"] = true, ["x-forwarded-uri"] = true, ["x-forwarded-method"] = true,
  ["x-forwarded-host"] = true, ["x-forwarded-proto"] = true, ["x-request-id"] = true,
}

local function values(header)
  local found = {}
  for _, value in pairs(header or {}) do found[#found + 1] = value end
  return found
end

local function refuse(txn, status, told, body)
  local reply = txn:reply()
  reply:set_status(status)
  for _, name in ipairs({ "location", "www-authenticate", "x-authgw-reason", "x-request-id" }) do
    for _, value in ipairs(values(told[name])) do reply:add_header(name, value) end
  end
  reply:add_header("cache-control", "no-store")
  reply:add_header("content-type", "text/plain")
  if status == 503 then reply:add_header("retry-after", "1") end
  reply:set_body(body)
  txn:done(reply)
end

core.register_action("authgw", { "http-req" }, function(txn)
  local sent = txn.http:req_get_headers()
  local asked = {}
  for name, header in pairs(sent) do
    if not NOT_ASKED[name] then asked[name] = values(header) end
  end
  -- Names in Connection would be dropped on the way to the app: let the gateway judge them.
  for _, value in ipairs(values(sent["connection"])) do
    for name in value:lower():gmatch("[^,%s]+") do
      if name:find("remote", 1, true) then asked["remote-user"] = { "" } end
    end
  end
  local hosts = values(sent["host"])
  local host = #hosts == 1 and hosts[1] or ""
  local scheme = txn.f:ssl_fc() == 1 and "https" or "http"
  asked["x-original-url"] = { scheme .. "://" .. host .. txn.f:pathq() }
  asked["x-original-host"] = { host }
  asked["x-original-method"] = { txn.f:method() }
  asked["host"] = { "authgw" }

  local answer = core.httpclient():get({
    url = GATEWAY .. "/authenticate", headers = asked, timeout = 2000,
  })
  local told = answer and answer.headers or {}
  local status = answer and answer.status
  if status == 200 then
    for _, name in ipairs(IDENTITY) do
      local said = values(told[name])
      if #said ~= 1 then return refuse(txn, 503, {}, "503 the gateway cannot answer now\n") end
      txn.http:req_set_header(name, said[1])
    end
    -- No app may see our cookie: it could replay it at another.
    for _, line in ipairs(values(sent["cookie"])) do
      local kept = {}
      for pair in line:gmatch("[^;]+") do
        local name = pair:match("^%s*([^=%s]*)")
        if name ~= "authgw" and name ~= "__Host-authgw" and name ~= "__Secure-authgw" then
          kept[#kept + 1] = pair:match("^%s*(.*)$")
        end
      end
      if _ == 1 then txn.http:req_del_header("cookie") end
      if #kept > 0 then txn.http:req_add_header("cookie", table.concat(kept, "; ")) end
    end
    txn:set_var("txn.authgw", "allowed")
  elseif status == 401 and told["location"] then
    refuse(txn, 302, told, "Log in first\n")
  elseif status == 401 or status == 403 then
    refuse(txn, status, told, status .. " refused\n")
  else
    refuse(txn, 503, {}, "503 the gateway cannot answer now\n")
  end
end)
