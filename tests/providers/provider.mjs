// An identity provider on loopback, for tests and `make run-oidc`.
//
// `node provider.mjs FILE`; the file is JSON:
//   issuer    URL of this provider; its port is the port that it listens on
//   clients   clients as oidc-provider registers them
//   accounts  {NAME: {password, amr, acr, ...claims}}; `sub` is the name
//   claims    "id_token" (default) or "userinfo": the response that contains the claims of a scope
//   rotate    true (default): each refresh replaces the refresh token
//
// Below /control tests read and change its state: see `control`.
import { generateKeyPairSync } from 'node:crypto';
import dns from 'node:dns';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { interactionPolicy, Provider } from 'oidc-provider';

const CLAIMS = {
  openid: ['sub', 'amr', 'acr', 'auth_time', 'sid'],
  profile: ['name', 'preferred_username'],
  email: ['email', 'email_verified'],
  groups: ['groups'],
};
const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
// New at each start, as after a change of keys.
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const accounts = new Map(Object.entries(config.accounts));
const stores = new Map();
const calls = {};
const notices = [];

// As browsers do (RFC 6761 section 6.3); the system's resolver does not know names below localhost.
const lookup = dns.lookup;
dns.lookup = (host, ...rest) => lookup(host.endsWith('.localhost') ? '127.0.0.1' : host, ...rest);

// Records in memory, which the control paths can list.
class MemoryRecords {
  constructor(kind) {
    this.records = stores.get(kind) ?? new Map();
    stores.set(kind, this.records);
  }

  async upsert(id, payload, expiresIn) {
    const until = expiresIn ? Date.now() + expiresIn * 1000 : Infinity;
    this.records.set(id, { ...payload, until });
  }

  async find(id) {
    const found = this.records.get(id);
    return found && found.until > Date.now() ? found : undefined;
  }

  async findByUid(uid) {
    return [...this.records.values()].find((each) => each.uid === uid);
  }

  async consume(id) {
    this.records.get(id).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    this.records.delete(id);
  }

  async revokeByGrantId(grantId) {
    for (const [id, each] of this.records) {
      if (each.grantId === grantId) this.records.delete(id);
    }
  }
}

const escaped = (text) => text.replace(/[&<>"]/g, (each) => `&#${each.charCodeAt(0)};`);

const page = (title, body) => `<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>${title}</title>
<style>body{font:16px system-ui;max-width:22rem;margin:4rem auto;padding:0 1rem}
input,button{font:inherit;width:100%;box-sizing:border-box;margin:.3rem 0;padding:.4rem}</style>
<h1>${title}</h1>${body}`;

const loginForm = (uid, message) => page('Example identity provider', `${message}
<form method="post" action="/interaction/${uid}">
<label>Account <input name="account" autofocus autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button>Sign in</button></form>
<p>Accounts: ${[...accounts.keys()].map(escaped).join(', ')}</p>`);

// As most providers have it (OpenID Connect Core section 3.1.2.1); here it shows the same form.
const policy = interactionPolicy.base();
policy.add(new interactionPolicy.Prompt({ name: 'select_account', requestable: true }));

const provider = new Provider(config.issuer, {
  adapter: MemoryRecords,
  clients: config.clients,
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256' }] },
  claims: CLAIMS,
  conformIdTokenClaims: config.claims === 'userinfo',
  acrValues: ['two-factors'],
  pkce: { required: () => true },
  features: {
    backchannelLogout: { enabled: true },
    devInteractions: { enabled: false },
    revocation: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      async logoutSource(ctx, form) {
        const button = '<button form="op.logoutForm" name="logout" value="yes">Sign out</button>';
        ctx.body = page('Sign out of the identity provider?', form + button);
      },
      async postLogoutSuccessSource(ctx) {
        ctx.body = page('Signed out', '');
      },
    },
  },
  interactions: { policy, url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ['cookies of a provider for tests'] },
  ttl: { AccessToken: 300, Grant: 86400, IdToken: 300, Interaction: 600, Session: 86400 },
  rotateRefreshToken: config.rotate ?? true,
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
  // No page of consent: the operator of a client of an own organisation has consented.
  async loadExistingGrant(ctx) {
    const { client, session } = ctx.oidc;
    const known = await provider.Grant.find(session.grantIdFor(client.clientId) ?? 'none');
    if (known) return known;
    const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope([...Object.keys(CLAIMS), 'offline_access'].join(' '));
    await grant.save();
    return grant;
  },
  async findAccount(ctx, name) {
    const found = accounts.get(name);
    if (!found) return undefined;
    const { password, amr, acr, ...claims } = found;
    return { accountId: name, claims: async () => ({ ...claims, sub: name }) };
  },
  // The default refuses addresses of loopback.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
});

provider.on('backchannel.success', (ctx, client) => notices.push({ client: client.clientId }));
provider.on('backchannel.error', (ctx, error, client) => {
  notices.push({ client: client.clientId, error: error.message });
});
provider.on('grant.error', (ctx, error) => console.error(error.message, error.error_detail, error.cause));
provider.on('server_error', (ctx, error) => console.error(error));

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function send(response, status, text, type = 'text/html; charset=utf-8') {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(text);
}

async function interact(request, response, uid) {
  if (request.method === 'GET') {
    send(response, 200, loginForm(uid, ''));
    return;
  }
  const form = new URLSearchParams(await body(request));
  const account = accounts.get(form.get('account'));
  if (!account || account.password !== form.get('password')) {
    send(response, 200, loginForm(uid, '<p role="alert">Wrong account or password.</p>'));
    return;
  }
  const login = { accountId: form.get('account'), amr: account.amr ?? ['pwd'], acr: account.acr };
  await provider.interactionFinished(request, response, { login, select_account: {} });
}

async function endSessions(name) {
  let ended = 0;
  for (const { accountId, jti } of [...stores.get('Session')?.values() ?? []]) {
    if (accountId !== name) continue;
    const session = await provider.Session.find(jti);
    for (const [clientId, { grantId }] of Object.entries(session.authorizations ?? {})) {
      const client = await provider.Client.find(clientId);
      for (const kind of ['AccessToken', 'AuthorizationCode', 'RefreshToken']) {
        await new MemoryRecords(kind).revokeByGrantId(grantId);
      }
      if (client.backchannelLogoutUri) {
        await client.backchannelLogout(name, session.sidFor(clientId)).then(
          () => notices.push({ client: clientId }),
          (error) => notices.push({ client: clientId, error: error.message }),
        );
      }
    }
    await session.destroy();
    ended += 1;
  }
  return { ended };
}

// GET /control                          requests by path since the start, notices of logouts
// PUT /control/accounts/NAME            {claim: value, ...}: changes these, null removes a claim
// DELETE /control/accounts/NAME
// POST /control/accounts/NAME/logout    ends its sessions and notifies the clients
async function control(request, path) {
  const [, name, action] = path; // accounts, NAME, ACTION
  if (request.method === 'PUT') {
    const changed = { ...accounts.get(name), ...JSON.parse(await body(request)) };
    const kept = Object.entries(changed).filter(([, value]) => value !== null);
    accounts.set(name, Object.fromEntries(kept));
  } else if (request.method === 'DELETE') {
    accounts.delete(name);
  } else if (action === 'logout') {
    return endSessions(name);
  }
  return { accounts: Object.fromEntries(accounts), calls, notices };
}

const serve = provider.callback();
const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, config.issuer);
  const [first, ...rest] = pathname.slice(1).split('/').map(decodeURIComponent);
  try {
    if (first === 'control') {
      send(response, 200, JSON.stringify(await control(request, rest)), 'application/json');
    } else if (first === 'interaction') {
      await interact(request, response, rest[0]);
    } else {
      const path = `/${[first, ...rest].join('/')}`;
      calls[path] = (calls[path] ?? 0) + 1;
      serve(request, response);
    }
  } catch (error) {
    console.error(error);
    if (!response.headersSent) send(response, 500, page('Error', escaped(error.message)));
  }
});
server.listen(new URL(config.issuer).port, '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
