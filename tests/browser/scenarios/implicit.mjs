// The implicit flow: the token is in the fragment, which only a script sees, and it does not stay in the history.
import assert from 'node:assert/strict';
import { atOpenIdProvider, isHere } from '../steps.mjs';

export default async function ({ person, url }) {
  const page = await (await person()).newPage();
  const seen = [];
  page.on('framenavigated', (frame) => seen.push(frame.url()));
  await page.goto(`${url}/orders/7`);
  await atOpenIdProvider(page, 'alice');
  await isHere(page, 'alice', '/orders/7');
  await page.goBack().catch(() => {});
  assert.ok(!page.url().includes('id_token'), page.url());
}
