// Three tabs are opened at once and each ends where it was meant to, whichever logs in first.
import { atOpenIdProvider, isHere } from '../steps.mjs';

export default async function ({ person, url }) {
  const context = await person();
  const tabs = await Promise.all([1, 2, 3].map(() => context.newPage()));
  await Promise.all(tabs.map((tab, n) => tab.goto(`${url}/tab/${n}#part-${n}`)));
  await Promise.all(tabs.map((tab) => tab.waitForSelector('input[name=login]')));
  for (const n of [2, 0, 1]) {
    await atOpenIdProvider(tabs[n], 'alice');
    await isHere(tabs[n], 'alice', `/tab/${n}#part-${n}`);
  }
}
