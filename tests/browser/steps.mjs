// What several scenarios do.
import assert from 'node:assert/strict';

/** Types a name and a password into Sidegate's form and sends it with the keyboard. */
export async function typePassword(page, name) {
  await page.fill('input[name=username]', name);
  await page.fill('input[name=password]', `${name}-password`);
  await page.press('input[name=password]', 'Enter');
}

/** Logs in at the OpenID provider, which asks for nothing but a name. */
export async function atOpenIdProvider(page, name) {
  await page.fill('input[name=login]', name);
  await page.click('button');
}

/** Logs in at SimpleSAMLphp. */
export async function atSamlProvider(page, name) {
  await page.fill('input[name=username]', name);
  await page.fill('input[name=password]', `${name}pass`);
  await page.click('button[type=submit], #submit_button, input[type=submit]');
}

/** Waits for the application, which says who is there, at this place (path, query and fragment). */
export async function isHere(page, name, place) {
  await page.waitForSelector(`body[data-user="${name}"]`);
  if (place !== undefined) {
    const url = new URL(page.url());
    assert.equal(url.pathname + url.search + url.hash, place);
  }
}

/** What the application's API answers a script on this page. */
export const ask = (page, path = '/api') => page.evaluate(async (path) => (await fetch(path)).status, path);
