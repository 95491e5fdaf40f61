// OpenID Connect in a browser: code flow, reload of the callback by the back button, logout at the provider and back.
import assert from 'node:assert/strict';
import { ask, atOpenIdProvider, isHere } from '../steps.mjs';

export default async function ({ person, url, issuer }) {
  const context = await person();
  const page = await context.newPage();
  await page.goto(`${url}/orders/7?sort=up#/view`);
  assert.ok(page.url().startsWith(issuer), page.url());
  await atOpenIdProvider(page, 'alice');
  await isHere(page, 'alice', '/orders/7?sort=up#/view');

  // Back to the provider's form, and sent again: no dead end.
  await page.goBack();
  if (page.url().startsWith(issuer)) await page.goto(`${url}/orders/8`);
  await isHere(page, 'alice');

  await page.goto(`${url}/_sidegate/logout`);
  if (page.url().startsWith(issuer)) {
    await page.click('button');
  }
  await page.waitForURL('**/_sidegate/logged-out*');
  assert.equal(await ask(page), 401);
  await page.click('main a.button');
  await page.waitForSelector('input[name=login]');
  await atOpenIdProvider(page, 'bob');
  await isHere(page, 'bob');
}
