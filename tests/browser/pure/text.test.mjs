import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const { bytesOf, count, hueOf, splitAtLinks } = load(['text.js'], ['bytesOf', 'count', 'hueOf', 'splitAtLinks']);

test('sizes are those of UTF-8', () => {
  assert.deepEqual(['', 'a', 'é', '日', '𓀀'].map(bytesOf), [0, 1, 2, 3, 4]);
});

test('counts have commas and plurals', () => {
  assert.deepEqual([0, 1, 2, 1234].map((n) => count(n, 'line')), ['0 lines', '1 line', '2 lines', '1,234 lines']);
});

test('the parts of a text make up the text, and every second one is an address', () => {
  const links = (text) => {
    const parts = splitAtLinks(text);
    assert.equal(parts.join(''), text);
    return parts.filter((_, at) => at % 2 === 1);
  };
  assert.deepEqual(links('no address: a//b'), []);
  assert.deepEqual(links('see https://example.org/a?b=1, and (http://[::1]:80/x).'),
    ['https://example.org/a?b=1', 'http://[::1]:80/x']);
  assert.deepEqual(links('ftp://a javascript://b xhttp://c http://'), []);
  assert.deepEqual(links('http://a"onclick=x <https://b>'), ['http://a', 'https://b']);
  assert.deepEqual(links('https://a.b!?'), ['https://a.b']);
});

test('a name has one of 24 hues, always the same', () => {
  assert.equal(hueOf('ana'), 30);
  assert.equal(hueOf('Zoë'), 45);
  const names = Array.from({ length: 1000 }, (_, n) => `client-${n}`);
  const hues = new Set(names.map(hueOf));
  assert.equal(hues.size, 24);
  for (const hue of hues) assert.ok(hue % 15 === 0 && hue >= 0 && hue < 360, hue);
});
