// Runs scenarios in one headless Chromium, each in a browser of its own (context): a line of JSON in, a line of JSON out.
//   in:  {"id": 1, "scenario": "password_login", "args": {...}}
//   out: {"id": 1, "result": ...} or {"id": 1, "error": "..."}
// Ends when its input does, so that no Chromium outlives the tests.
// usage: node server.mjs FOLDER_WITH_NODE_MODULES CHROMIUM FOLDER_FOR_SCREENSHOTS
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

const [modules, executablePath, shots] = process.argv.slice(2);
const { chromium } = createRequire(resolve(modules) + '/')('playwright-core');
mkdirSync(shots, { recursive: true });

const browser = await chromium.launch({
  executablePath,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
    // Names that tests use for sites of their own.
    '--host-resolver-rules=MAP *.test 127.0.0.1, MAP *.example 127.0.0.1',
  ],
});

async function run({ scenario, args }) {
  const { default: play } = await import(`./scenarios/${scenario}.mjs`);
  const contexts = [];
  // A fresh browser, with what it said on its console and what it could not load kept for the message of a failed test.
  const person = async (options = {}) => {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
    context.setDefaultTimeout(20_000);
    const told = [];
    context.on('console', (message) => told.push(`${message.type()}: ${message.text()}`));
    context.on('requestfailed', (request) => told.push(`failed: ${request.method()} ${request.url()} ${request.failure()?.errorText}`));
    contexts.push([context, told]);
    return context;
  };
  const shoot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`) });
  try {
    return await play({ person, shoot, ...args });
  } catch (error) {
    const pages = contexts.flatMap(([context]) => context.pages());
    for (const [at, page] of pages.entries()) {
      error.message += `\nat ${page.url()}\n${(await page.content().catch(() => '')).slice(0, 3000)}`;
      await page.screenshot({ path: join(shots, `failed-${scenario}-${at}.png`) }).catch(() => {});
    }
    error.message += `\n${contexts.flatMap(([, told]) => told).join('\n')}`;
    throw error;
  } finally {
    for (const [context] of contexts) await context.close();
  }
}

const answer = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const lines = createInterface({ input: process.stdin });
lines.on('line', async (line) => {
  const asked = JSON.parse(line);
  try {
    answer({ id: asked.id, result: (await run(asked)) ?? null });
  } catch (error) {
    answer({ id: asked.id, error: `${error.stack}\n${error.message}` });
  }
});
lines.on('close', async () => {
  await browser.close().catch(() => {});
  process.exit(0);
});
answer({ ready: browser.version() });
