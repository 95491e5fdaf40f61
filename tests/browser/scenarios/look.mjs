// What people see: pages in both themes and two sizes, readable, labelled, and within their content security policy.
import assert from 'node:assert/strict';

const brightness = (color) => {
  const [red, green, blue] = color.match(/[\d.]+/g).map(Number);
  return (red * 299 + green * 587 + blue * 114) / 1000;
};

export default async function ({ person, shoot, url }) {
  const sizes = { phone: { width: 360, height: 640 }, desktop: { width: 1280, height: 800 } };
  for (const colorScheme of ['light', 'dark']) {
    for (const [size, viewport] of Object.entries(sizes)) {
      const page = await (await person({ colorScheme, viewport })).newPage();
      const faults = [];
      page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
      page.on('request', (request) => request.url().startsWith(url) || faults.push(`outside: ${request.url()}`));
      for (const path of ['login', 'logged-out', 'nowhere']) {
        await page.goto(`${url}/_sidegate/${path}`);
        const found = await page.evaluate(() => ({
          background: getComputedStyle(document.body).backgroundColor,
          text: getComputedStyle(document.querySelector('h1')).color,
          wide: document.documentElement.scrollWidth > innerWidth,
          unlabelled: [...document.querySelectorAll('input:not([type=hidden])')].filter((input) => !input.labels.length).length,
          language: document.documentElement.lang,
        }));
        const page_is_dark = brightness(found.background) < 128;
        assert.equal(page_is_dark, colorScheme === 'dark', `${path} ${colorScheme} ${found.background}`);
        assert.notEqual(brightness(found.text) < 128, page_is_dark, `${path} ${colorScheme} ${found.text}`);
        assert.equal(found.wide, false, `${path} scrolls sideways on ${size}`);
        assert.equal(found.unlabelled, 0, path);
        assert.ok(found.language);
        await shoot(page, `${path}-${colorScheme}-${size}`);
      }
      const expected = faults.filter((fault) => !/status of 40[14]/.test(fault));
      assert.deepEqual(expected, []);
    }
  }
}
