// SAML in a browser: the identity provider posts across sites, and the attempt's cookie comes along although the session's stays Lax.
import assert from 'node:assert/strict';
import { ask, atSamlProvider, isHere } from '../steps.mjs';

export default async function ({ person, url, idp }) {
  const context = await person();
  const page = await context.newPage();
  await page.goto(`${url}/orders/7?sort=up#/view`);
  assert.ok(page.url().startsWith(idp), page.url());
  // A second tab begins its own login meanwhile.
  const other = await context.newPage();
  await other.goto(`${url}/other`);
  assert.ok(other.url().startsWith(idp), other.url());
  await atSamlProvider(page, 'alice');
  await isHere(page, 'alice', '/orders/7?sort=up#/view');
  await atSamlProvider(other, 'alice');
  await isHere(other, 'alice', '/other');
  for (const cookie of await context.cookies(url)) {
    if (cookie.name.includes('sidegate')) assert.equal(cookie.sameSite, 'Lax', cookie.name);
  }

  await page.goto(`${url}/_sidegate/logout`);
  await page.waitForURL('**/_sidegate/logged-out*');
  assert.equal(await ask(page), 401);
  await page.click('main a.button');
  await page.waitForSelector('input[name=password]');
  await atSamlProvider(page, 'bob');
  await isHere(page, 'bob');
}
