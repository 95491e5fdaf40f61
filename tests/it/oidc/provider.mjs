// A certified OpenID provider (npm oidc-provider) for the tests. Usage: node provider.mjs FOLDER PORT SETTINGS
//   FOLDER    where `node_modules` is
//   PORT      0 takes a free one
//   SETTINGS  JSON: { redirect_uris: [..], post_logout_redirect_uris: [..], backchannel_logout_uri: "..", pkce: true }
// Prints one line, `provider URL`, when it serves. Ends when its input does. Logging in: POST login=NAME to the page that the browser is sent to.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { generateKeyPairSync } from 'node:crypto'
import http from 'node:http'

const [folder, port, text] = process.argv.slice(2)
const settings = JSON.parse(text)
const require = createRequire(folder + '/')
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')))

const people = {
  alice: { name: 'Alice Example', email: 'alice@example.test', groups: ['admins', 'devs'] },
  bob: { name: 'Bob Example', email: 'bob@example.test', groups: ['devs'] },
}
const SECRET = 'a-secret-that-is-long-enough-for-every-hmac-algorithm-of-rfc-7518'

const shared = {
  client_secret: SECRET,
  redirect_uris: settings.redirect_uris,
  post_logout_redirect_uris: settings.post_logout_redirect_uris ?? [],
  ...(settings.backchannel_logout_uri && {
    backchannel_logout_uri: settings.backchannel_logout_uri,
    backchannel_logout_session_required: true,
  }),
}
const clients = [
  { client_id: 'es', token_endpoint_auth_method: 'client_secret_basic' },
  { client_id: 'es-post', token_endpoint_auth_method: 'client_secret_post', id_token_signed_response_alg: 'ES256' },
  { client_id: 'es-jwt', token_endpoint_auth_method: 'client_secret_jwt', id_token_signed_response_alg: 'PS256' },
  { client_id: 'es-hmac', id_token_signed_response_alg: 'HS256' },
  { client_id: 'es-signed', userinfo_signed_response_alg: 'RS256' },
].map((client) => ({ ...shared, ...client }))
// Browsers bring tokens to https only, says OpenID Connect Core §3.2.2.1.
if (settings.redirect_uris.every((uri) => uri.startsWith('https:'))) {
  clients.push({
    ...shared,
    client_id: 'es-implicit',
    response_types: ['id_token', 'id_token token'],
    grant_types: ['implicit'],
  })
}

const jwk = (kind, options) => generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' })
const jwks = {
  keys: [
    { ...jwk('rsa', { modulusLength: 2048 }), use: 'sig' },
    { ...jwk('ec', { namedCurve: 'P-256' }), use: 'sig' },
  ],
}

const configuration = (issuer) => ({
  clients,
  jwks,
  scopes: ['openid', 'offline_access', 'profile', 'email', 'groups'],
  claims: { openid: ['sub'], profile: ['name'], email: ['email'], groups: ['groups'] },
  responseTypes: ['code', 'id_token', 'id_token token'],
  enabledJWA: {
    idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'HS256'],
    userinfoSigningAlgValues: ['RS256'],
    clientAuthSigningAlgValues: ['HS256', 'HS384', 'HS512'],
  },
  pkce: { required: () => settings.pkce === true },
  features: {
    devInteractions: { enabled: false },
    userinfo: { enabled: true },
    jwtUserinfo: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    backchannelLogout: { enabled: true },
  },
  findAccount: (_, sub) => people[sub] && { accountId: sub, claims: () => ({ sub, ...people[sub] }) },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  // Nobody is asked for consent.
  loadExistingGrant: async ({ oidc }) => {
    const known = oidc.session.grantIdFor(oidc.client.clientId)
    const before = known && (await oidc.provider.Grant.find(known))
    if (before) return before
    const { accountId } = oidc.session
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId })
    grant.addOIDCScope('openid offline_access profile email groups')
    await grant.save()
    return grant
  },
  renderError: (ctx, out, error) => {
    ctx.type = 'json'
    ctx.body = { ...out, detail: error.error_detail }
  },
  // It would not talk to addresses of this machine, which is where Sidegate is in tests.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  cookies: { keys: ['only for tests'] },
  ttl: { AccessToken: 600, IdToken: 600, Session: 3600, Grant: 3600, Interaction: 600 },
})

const body = async (request) => {
  let text = ''
  for await (const chunk of request) text += chunk
  return new URLSearchParams(text)
}

let provider, callback
const server = http.createServer(async (request, response) => {
  try {
    if (!request.url.startsWith('/interaction/')) return callback(request, response)
    if (request.method === 'GET') {
      response.setHeader('content-type', 'text/html; charset=utf-8')
      return response.end('<!doctype html><title>Log in</title><form method=post><input name=login autofocus><button>Log in</button></form>')
    }
    const login = (await body(request)).get('login')
    const result = people[login]
      ? { login: { accountId: login } }
      : { error: 'access_denied', error_description: 'nobody of that name' }
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false })
  } catch (error) {
    response.statusCode = 500
    response.end(String(error))
  }
})
server.listen(Number(port), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  provider = new Provider(issuer, configuration(issuer))
  callback = provider.callback()
  provider.on('backchannel.error', (_, error) => console.error('backchannel', error, error.cause))
  console.log(`provider ${issuer}`)
})
process.stdin.on('end', () => process.exit(0)).resume()
