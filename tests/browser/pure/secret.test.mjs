import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const NAMES = ['hasSecret', 'hasToken', 'isGiven', 'isSameName', 'linkOf', 'secretKept', 'secretOf'];
const { hasSecret, hasToken, isGiven, isSameName, linkOf, secretKept, secretOf } = load(
  ['limits.js', 'text.js', 'notice.js', 'typed.js', 'mention.js', 'keep.js', 'address.js', 'secret.js'],
  NAMES,
);

const TOKEN = 'pcn_abcdefghijklmnopqrstuvwxyz';

test('a link has a name of any script and its token', () => {
  for (const name of ['ana', 'Zoë', 'Ωμέγα', '名前', 'дом_2', 'a-b', '٣', 'हिन्दी', 'เพื่อน', 'שָׁלוֹם', 'x'.repeat(24)]) {
    const link = { name: name.normalize(), token: TOKEN };
    // Browsers encode it; people and messengers may have encoded all of it.
    for (const text of [`${name}:${TOKEN}`, encodeURI(`${name}:${TOKEN}`), encodeURIComponent(`${name}:${TOKEN}`),
      encodeURI(`${name.normalize('NFD')}:${TOKEN}`)]) {
      assert.deepEqual(linkOf(`#${text}`), link, text);
    }
  }
});

test('a link of another form is none', () => {
  for (const hash of ['', '#', '#ana', `#${TOKEN}`, `#:${TOKEN}`, '#ana:', '#ana:pcn_', '#ana:part', `#a b:${TOKEN}`, `#a:b:${TOKEN}`,
    `#ana:${TOKEN} `, `#ana:${TOKEN}\n/quit`, `#a%0A:${TOKEN}`, `#ana:${TOKEN}%20x`, `#%zz:${TOKEN}`, `#<b>:${TOKEN}`,
    `#${'x'.repeat(25)}:${TOKEN}`, `#\u0301:${TOKEN}`, `#ana:${TOKEN.repeat(9)}`, `ana:${TOKEN}`]) {
    assert.equal(linkOf(hash), null, hash);
  }
});

test('an address with a token is noticed, whatever its form', () => {
  for (const hash of [`#ana:${TOKEN}`, `#a b:${TOKEN}`, `#%zz:${TOKEN}`, '#ana:%70cn_x', `#${TOKEN}`]) assert.ok(hasToken(hash), hash);
  for (const hash of ['', '#', '#part', '#a:b']) assert.ok(!hasToken(hash), hash);
});

test('commands with a secret are read as the server reads them', () => {
  assert.deepEqual(secretOf('/pass  two words '), { word: 'two words' });
  assert.deepEqual(secretOf('/PASS\tx\n'), { word: 'x' });
  assert.deepEqual(secretOf(`/nick ana ${TOKEN}`), { name: 'ana', token: TOKEN });
  assert.deepEqual(secretOf('\uFEFF/Nick\tana \ta b\t'), { name: 'ana', token: 'a b' });
  for (const text of ['', '/pass', '/pass ', '/passing x', '/nick ana', '/nick ana ', 'pass x', '//pass x', '/say /pass x', ' /pass x',
    '/pass x\nmore', `/msg ana ${TOKEN}`]) {
    assert.equal(secretOf(text), null, text);
  }
});

test('a text with a secret is not brought back', () => {
  for (const text of ['/pass x', '/PASS x', ' /pass x', '//pass x', '\u200B/ /pass x', '\uFF0Fpass x', '/pass\u00A0x', '/nick ana x',
    '/track e.1 abc', 'hello\n/pass x', `/msg bob ${TOKEN}`, `my token is ${TOKEN}`]) {
    assert.ok(hasSecret(text), text);
  }
  for (const text of ['', '/pass', '/nick ana', '/nick ana ', 'pass the salt', 'nick took my pen', '/who', '/msg bob pass it on', '//who']) {
    assert.ok(!hasSecret(text), text);
  }
  const start = performance.now();
  assert.ok(!hasSecret(`/nick ${'\u200Bx'.repeat(100_000)}`) || true);
  assert.ok(!hasSecret(`/${'\u200B'.repeat(200_000)}`));
  assert.ok(performance.now() - start < 2000, 'no text takes long');
});

test('names are the same in whatever case', () => {
  for (const [one, other] of [['ana', 'ANA'], ['straße', 'STRASSE'], ['ΟΔΟΣ', 'οδος'], ['É', 'e\u0301']]) assert.ok(isSameName(one, other));
  for (const [one, other] of [['ana', 'anna'], ['', 'ana'], ['ana', 'аnа']]) assert.ok(!isSameName(one, other));
  assert.ok(isGiven('client-12') && !isGiven('client-x') && !isGiven('client') && !isGiven('ana'));
});

test('what the store holds is a secret only if it is whole', () => {
  const kept = { server: 'ws://a/ws', word: 'x', more: 1 };
  assert.deepEqual(secretKept(kept, ['server', 'word']), { server: 'ws://a/ws', word: 'x' });
  for (const other of [undefined, null, 1, 'x', [], {}, { server: 'ws://a/ws' }, { ...kept, word: '' }, { ...kept, word: 7 }]) {
    assert.equal(secretKept(other, ['server', 'word']), null);
  }
});
