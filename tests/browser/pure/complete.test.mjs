import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const { completionsOf } = load(['text.js', 'complete.js'], ['completionsOf']);
const NAMES = ['Ben', 'bella', 'Carl', 'Дом'];
const of = (text, caret = text.length) => completionsOf(text, caret, NAMES);

test('names are completed, with a colon at the beginning', () => {
  assert.deepEqual(of('be'), { from: 0, options: ['Ben: ', 'bella: '] });
  assert.deepEqual(of('hi C'), { from: 3, options: ['Carl '] });
  assert.deepEqual(of('@ca'), { from: 0, options: ['@Carl '] });
  assert.deepEqual(of('привет дО').options, ['Дом ']);
  assert.deepEqual(of('hi be there', 5), { from: 3, options: ['Ben ', 'bella '] });
});

test('commands are completed at the beginning alone', () => {
  assert.deepEqual(of('/ig'), { from: 0, options: ['/ignore '] });
  assert.deepEqual(of('see /ig').options, []);
  assert.deepEqual(of('/msg be').options, ['Ben ', 'bella ']);
});

test('without a word, or without a match, the key means what it means elsewhere', () => {
  for (const text of ['', 'hi ', 'xyz', 'a.b(']) assert.deepEqual(of(text).options, [], text);
});
