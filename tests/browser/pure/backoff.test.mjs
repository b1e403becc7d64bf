import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const { Backoff } = load(['limits.js', 'backoff.js'], ['Backoff']);

const pausesOf = (backoff, n, random) => Array.from({ length: n }, () => backoff.next(random) / 1000);

test('pauses double from one second to half a minute', () => {
  assert.deepEqual(pausesOf(new Backoff(), 7, 1), [1, 2, 4, 8, 16, 30, 30]);
});

test('chance takes up to half of a pause', () => {
  assert.deepEqual(pausesOf(new Backoff(), 3, 0), [0.5, 1, 2]);
});

test('a full server is asked again after one minute, and up to ten', () => {
  const backoff = new Backoff();
  pausesOf(backoff, 3, 1);
  backoff.setFull(true);
  assert.deepEqual(pausesOf(backoff, 2, 1), [60, 120]);
  backoff.setFull(true);
  assert.deepEqual(pausesOf(backoff, 3, 1), [240, 480, 600]);
});

test('a server that is no longer full is asked as often as any other', () => {
  const backoff = new Backoff();
  backoff.setFull(true);
  pausesOf(backoff, 2, 1);
  backoff.setFull(false);
  assert.deepEqual(pausesOf(backoff, 2, 1), [1, 2]);
  backoff.setFull(false);
  assert.deepEqual(pausesOf(backoff, 1, 1), [4]);
});

test('a reset starts the pauses anew', () => {
  const backoff = new Backoff();
  backoff.setFull(true);
  pausesOf(backoff, 4, 1);
  backoff.reset();
  assert.deepEqual(pausesOf(backoff, 2, 1), [1, 2]);
  assert.equal(backoff.isFull, false);
});
