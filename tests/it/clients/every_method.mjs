// Calls every method of `security` and `ssl` of Elastic's JavaScript client: `node every_method.mjs URL FOLDER`, with the
// client in FOLDER/node_modules. The calls stand in `every_method.json`; a method that is not in it is a failure.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'

const [url, folder] = process.argv.slice(2)
const { Client, errors } = createRequire(resolve(folder, 'package.json'))('@elastic/elasticsearch')
const { steps } = JSON.parse(readFileSync(new URL('every_method.json', import.meta.url)))

const client = new Client({
  node: url, auth: { username: 'elastic', password: 'changeme' }, maxRetries: 0, requestTimeout: 60_000
})
const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())
const base64 = (text) => Buffer.from(text).toString('base64')

/** What the client has, by reflection. */
const there = new Set(['security', 'ssl'].flatMap((namespace) =>
  Object.getOwnPropertyNames(Object.getPrototypeOf(client[namespace]))
    .filter((name) => name !== 'constructor').map((name) => `${namespace}.${name}`)))

/** Puts what earlier steps kept in place of `${name}`. */
function fill (value, kept) {
  if (typeof value === 'string') return value.replace(/\$\{(\w+)}/g, (_, name) => kept[name])
  if (Array.isArray(value)) return value.map((item) => fill(item, kept))
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item, kept)]))
  }
  return value
}

/** The value at a dotted path, `null` for what is not there; names may hold dots themselves. */
function at (answer, path) {
  if (path === '') return answer
  if (answer === null || typeof answer !== 'object') return null
  for (let cut = path.length; cut > 0; cut--) {
    if (cut < path.length && path[cut] !== '.') continue
    const head = path.slice(0, cut)
    if (Object.hasOwn(answer, head)) return at(answer[head], path.slice(cut + 1))
  }
  return null
}

/** The `Authorization` of a step. */
function authorization (who, kept) {
  const [[kind, value]] = Object.entries(fill(who, kept))
  return { basic: () => 'Basic ' + base64(value.join(':')), bearer: () => 'Bearer ' + value, api_key: () => 'ApiKey ' + value }[kind]()
}

/** What is wrong with an answer; nothing otherwise. */
function check (step, kept, status, body) {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  if (status !== (step.status ?? 200)) return `status ${status}: ${text}`
  if (!text.includes(step.reason ?? '')) return `no ${step.reason} in ${text}`
  for (const [path, wanted] of Object.entries(step.has ?? {})) {
    const found = at(body, path)
    if (JSON.stringify(found) !== JSON.stringify(fill(wanted, kept))) return `${path} is ${JSON.stringify(found)} in ${text}`
  }
  for (const [name, path] of Object.entries(step.keep ?? {})) kept[name] = at(body, path)
}

const kept = {}
const called = new Set()
const wrong = []
for (const [number, step] of steps.entries()) {
  const [namespace, method] = step.call.split('.').map(camel)
  if (!there.has(`${namespace}.${method}`) && step.may_lack) continue
  called.add(`${namespace}.${method}`)
  const options = { meta: true, headers: step.as ? { authorization: authorization(step.as, kept) } : {} }
  let status, body
  try {
    ({ statusCode: status, body } = await client[namespace][method](fill(step.with ?? {}, kept), options))
  } catch (error) {
    if (error instanceof errors.ResponseError) {
      ({ statusCode: status, body } = error.meta)
    } else {
      status = 0
      body = String(error)
    }
  }
  const fault = check(step, kept, status, body)
  if (fault) wrong.push(`step ${number} ${step.call}: ${fault}`)
}
for (const name of there) if (!called.has(name)) wrong.push(`no step calls ${name}`)
for (const line of wrong) console.error(line)
if (wrong.length > 0) process.exit(1)
console.log(`${called.size} methods`)
