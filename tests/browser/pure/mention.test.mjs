import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const { mentions, actionIn, isIndented, isFence } = load(['text.js', 'mention.js'], ['mentions', 'actionIn', 'isIndented', 'isFence']);

test('a name is mentioned as a whole word, in whatever case', () => {
  for (const text of ['ana', 'hi Ana!', '@ana: look', '(ANA)', 'ana, ben', '"ana"', 'ana\u2019s', 'so it is ana']) {
    assert.ok(mentions(text, 'ana'), text);
  }
  for (const text of ['anagram', 'banana', 'ana_2', 'ana-b', 'x-ana', 'ana\u0301', 'an a', '']) {
    assert.ok(!mentions(text, 'ana'), text);
  }
  assert.ok(mentions('привет, ДОМ!', 'дом'));
  assert.ok(!mentions('домой', 'дом'));
  assert.ok(mentions('see n-1_x', 'n-1_x'));
  assert.ok(mentions('Zoe\u0308?', 'Zoë'), 'the same letter, written in two parts');
  assert.ok(!mentions('anything', ''), 'before there is a name');
});

test('an action is all between two asterisks', () => {
  assert.equal(actionIn('*waves*'), 'waves');
  assert.equal(actionIn('*waves to *all* of them*'), 'waves to *all* of them');
  for (const text of ['', '*', '**', '***', '* joined *', '*a *', '* a*', '**a**', '*a**', 'ok *that* works', '*a*.']) {
    assert.equal(actionIn(text), '', text);
  }
});

test('code is indented or fenced', () => {
  for (const text of ['  let x;', '\tlet x;', '    }']) assert.ok(isIndented(text), text);
  for (const text of ['let x;', ' one blank', '', '   ']) assert.ok(!isIndented(text), text);
  for (const text of ['```', '```rust']) assert.ok(isFence(text), text);
  for (const text of ['``', ' ```', '```x```', '````']) assert.ok(!isFence(text), text);
});
