// The session script in two tabs: when one logs out, the other says so and loses nothing; one login brings both back.
import assert from 'node:assert/strict';
import { ask, isHere, typePassword } from '../steps.mjs';

export default async function ({ person, url }) {
  const context = await person();
  const editor = await context.newPage();
  await editor.goto(`${url}/scripted/editor`);
  await typePassword(editor, 'alice');
  await isHere(editor, 'alice');
  const other = await context.newPage();
  await other.goto(`${url}/scripted/other`);
  await isHere(other, 'alice');
  await editor.evaluate(() => { document.querySelector('h1').textContent = 'the draft'; });

  await other.goto(`${url}/_sidegate/logout`);
  await other.waitForURL('**/_sidegate/logged-out*');
  await editor.waitForFunction(() => document.body.innerText.includes('session has ended')
    || [...document.querySelectorAll('*')].some((one) => one.shadowRoot?.textContent.includes('session has ended')));
  // Nothing was navigated away from.
  assert.equal(await editor.textContent('h1'), 'the draft');
  assert.equal(await ask(editor), 401);

  await other.goto(`${url}/scripted/other`);
  await typePassword(other, 'alice');
  await isHere(other, 'alice');
  assert.equal(await ask(editor), 200);
  assert.equal(await editor.textContent('h1'), 'the draft');
}
