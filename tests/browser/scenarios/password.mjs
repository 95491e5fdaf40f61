// A login with a form: target and fragment are kept, a double click and the back button do no harm, a logout waits for a click.
import assert from 'node:assert/strict';
import { ask, isHere, typePassword } from '../steps.mjs';

export default async function ({ person, url }) {
  const context = await person();
  const page = await context.newPage();
  await page.goto(`${url}/orders/7?sort=up#/view?x=1`);
  assert.equal(new URL(page.url()).pathname, '/_sidegate/login');
  await page.fill('input[name=username]', 'alice');
  await page.fill('input[name=password]', 'alice-password');
  await page.dblclick('button[type=submit]');
  await isHere(page, 'alice', '/orders/7?sort=up#/view?x=1');
  assert.equal(await page.evaluate(() => document.cookie), '');

  // A wrong password is told, the name stays, the password does not.
  const other = await (await person()).newPage();
  await other.goto(`${url}/`);
  await other.fill('input[name=username]', 'bob');
  await other.fill('input[name=password]', 'wrong');
  await other.press('input[name=password]', 'Enter');
  await other.waitForSelector('[role=alert]');
  assert.equal(await other.inputValue('input[name=username]'), 'bob');
  assert.equal(await other.inputValue('input[name=password]'), '');

  // The back button never shows a form again that lies about who is there.
  await page.goBack();
  await isHere(page, 'alice');
  await page.goForward().catch(() => {});

  await page.goto(`${url}/_sidegate/logout`);
  await page.waitForURL('**/_sidegate/logged-out*');
  // Nothing of the application is shown from memory.
  await page.goBack().catch(() => {});
  await page.goto(`${url}/_sidegate/logged-out`);
  assert.equal(await ask(page), 401);
  await page.click('main a.button');
  await typePassword(page, 'bob');
  await isHere(page, 'bob');
}
