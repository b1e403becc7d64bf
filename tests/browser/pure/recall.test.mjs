import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const { Recall, RECALLED_MAX } = load(['limits.js', 'recall.js'], ['Recall', 'RECALLED_MAX']);

test('the arrows go through all sent texts, and back to the new one', () => {
  const recall = new Recall();
  assert.equal(recall.go(-1, ''), null);
  for (const text of ['one', 'two', 'two', 'three\nlines']) recall.add(text);
  assert.equal(recall.go(-1, 'new'), 'three\nlines');
  assert.equal(recall.go(-1, 'three\nlines'), 'two');
  assert.equal(recall.go(-1, 'two'), 'one');
  assert.equal(recall.go(-1, 'one'), null);
  assert.equal(recall.go(1, 'one'), 'two');
  assert.equal(recall.go(1, 'two'), 'three\nlines');
  assert.equal(recall.go(1, 'three\nlines'), 'new');
  assert.equal(recall.go(1, 'new'), null);
});

test('in an edited text or one of several lines, the arrows move as ever', () => {
  const recall = new Recall();
  recall.add('one');
  recall.add('two');
  assert.equal(recall.go(-1, ''), 'two');
  assert.equal(recall.go(-1, 'two!'), null);
  recall.add('two!');
  assert.equal(recall.go(-1, 'a\nb'), null);
  assert.equal(recall.go(-1, ''), 'two!');
});

test('the oldest texts are forgotten', () => {
  const recall = new Recall();
  for (let n = 0; n < 2 * RECALLED_MAX; n += 1) recall.add(`text ${n}`);
  assert.equal(recall.texts.length, RECALLED_MAX);
});
