-- Written by `authgw haproxy write`: after a change of config.yml write it again instead of editing it.
-- Asks authgw about every request, on HAProxy's own HTTP client (2.6 or newer).
-- A request passes only if this sets txn.authgw to "allowed".

local GATEWAY = "http://127.0.0.1:8080"
local IDENTITY = { "remote-user", "remote-groups", "remote-email", "remote-name" }

-- What belongs to a connection or a body, or speaks about the request in our name.
local NOT_ASKED = {
  ["host"] = true, ["content-length"] = true, ["transfer-encoding"] = true, ["expect"] = true,
  ["upgrade"] = true, ["te"] = true, ["trailer"] = true, ["keep-alive"] = true,
  ["connection"] = true, ["x-forwarded-uri"] = true, ["x-forwarded-method"] = true,
  ["x-forwarded-host"] = true, ["x-forwarded-proto"] = true, ["x-request-id"] = true,
}

-- What a client is told of the gateway's refusal, and what belongs to a page of its besides.
local TOLD = { "location", "www-authenticate", "x-authgw-reason", "x-request-id" }
local PAGE = { "content-type", "content-security-policy", "x-content-type-options" }

local AWAY = "503 the gateway cannot answer now\n"
local AWAY_PAGE = [[<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Not available right now</title><style>:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1.5rem}</style><main><h1>Not available right now</h1><p>Your access to this page cannot be checked, because the login service does not respond. Try again in a few seconds.</p></main></html>]]

-- Every cookie of the gateway: authgw or authgw-..., with or without a prefix of RFC 6265bis.
local function is_ours(cookie)
  local name = cookie:match("^%s*([^=]*)"):gsub("%s+$", "")
  name = name:gsub("^__Host%-", ""):gsub("^__Secure%-", "")
  return name == "authgw" or name:sub(1, 7) == "authgw-"
end

local function values(header)
  local found = {}
  for _, value in pairs(header or {}) do found[#found + 1] = value end
  return found
end

-- Fetch Metadata decides where it is sent.
local function is_browser(sent)
  local mode = values(sent["sec-fetch-mode"])
  if #mode > 0 then return #mode == 1 and mode[1] == "navigate" end
  local accept = table.concat(values(sent["accept"]), ","):lower()
  return accept:find("text/html", 1, true) ~= nil or accept:find("application/xhtml+xml", 1, true) ~= nil
end

local function ask(path, asked)
  local answer = core.httpclient():get({
    url = GATEWAY .. path, headers = asked, timeout = 2000,
  })
  if not answer then return nil, {}, "" end
  return answer.status, answer.headers or {}, answer.body or ""
end

local function refuse(txn, status, told, body, page)
  local reply = txn:reply()
  reply:set_status(status)
  for _, name in ipairs(TOLD) do
    for _, value in ipairs(values(told[name])) do reply:add_header(name, value) end
  end
  for _, name in ipairs(PAGE) do
    for _, value in ipairs(values(page and page[name])) do reply:add_header(name, value) end
  end
  if not page then reply:add_header("content-type", "text/plain") end
  reply:add_header("cache-control", "no-store")
  if status == 503 then reply:add_header("retry-after", "1") end
  reply:set_body(body)
  txn:done(reply)
end

local function away(txn, sent, told)
  if not is_browser(sent) then return refuse(txn, 503, told, AWAY) end
  refuse(txn, 503, told, AWAY_PAGE, { ["content-type"] = { "text/html; charset=utf-8" } })
end

-- For people the gateway writes the page: who they are, and whom the rule lets pass.
local function deny(txn, sent, told, asked)
  if is_browser(sent) then
    asked["x-request-id"] = values(told["x-request-id"])
    local status, page, body = ask("/login/denied", asked)
    if status == 403 then return refuse(txn, 403, told, body, page) end
  end
  refuse(txn, 403, told, "403 refused\n")
end

core.register_action("authgw", { "http-req" }, function(txn)
  local sent = txn.http:req_get_headers()
  local asked = {}
  for name, header in pairs(sent) do
    if not NOT_ASKED[name] then asked[name] = values(header) end
  end
  -- An app's server would remove what Connection names: the gateway refuses an identity header.
  for _, value in ipairs(values(sent["connection"])) do
    for name in value:lower():gmatch("[^,%s]+") do
      for _, header in ipairs(IDENTITY) do
        if name:gsub("[^a-z0-9]", "-") == header then asked[header] = { "" } end
      end
    end
  end
  local hosts = values(sent["host"])
  local host = #hosts == 1 and hosts[1] or ""
  local scheme = txn:get_var("txn.scheme")
  asked["x-original-url"] = { scheme .. "://" .. host .. txn.f:pathq() }
  asked["x-original-host"] = { host }
  asked["x-original-method"] = { txn.f:method() }
  asked["host"] = { "authgw" }

  local status, told = ask("/authenticate", asked)
  if status == 200 then
    for _, name in ipairs(IDENTITY) do
      local said = values(told[name])
      if #said ~= 1 then return away(txn, sent, {}) end
      txn.http:req_set_header(name, said[1])
    end
    -- No app may see our cookie: it could replay it at another.
    for _, line in ipairs(values(sent["cookie"])) do
      local kept = {}
      for pair in line:gmatch("[^;]+") do
        -- Some proxies join two Cookie headers by a comma, and the gateway looks behind it.
        local parts = {}
        for part in pair:gmatch("[^,]+") do
          if not is_ours(part) then parts[#parts + 1] = part end
        end
        if #parts > 0 then kept[#kept + 1] = table.concat(parts, ","):match("^%s*(.*)$") end
      end
      if _ == 1 then txn.http:req_del_header("cookie") end
      if #kept > 0 then txn.http:req_add_header("cookie", table.concat(kept, "; ")) end
    end
    txn:set_var("txn.authgw", "allowed")
  elseif status == 401 and told["location"] then
    -- After 303 a browser requests the page by GET (RFC 9110 section 15.4.4).
    local by_get = txn.f:method() == "GET" or txn.f:method() == "HEAD"
    refuse(txn, by_get and 302 or 303, told, "Log in first\n")
  elseif status == 401 then
    refuse(txn, 401, told, "401 refused\n")
  elseif status == 403 then
    deny(txn, sent, told, asked)
  else
    away(txn, sent, status == 503 and told or {})
  end
end)
