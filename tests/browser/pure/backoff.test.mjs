import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const { Backoff } = load(['limits.js', 'backoff.js'], ['Backoff']);

/** The begins of pauses in the first `seconds` after a break, and their lengths, in seconds. */
function pausesAfterBreak(random, seconds) {
  const backoff = new Backoff();
  const pauses = [];
  for (let at = 0; at < seconds;) {
    const pause = backoff.next(random, at * 1000) / 1000;
    pauses.push({ at, pause });
    at += pause;
  }
  return pauses;
}

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

test('attempts are quick while the seat may be kept, become rare behind that, and are never a flood', () => {
  for (const random of [0, 0.3, 1]) {
    const pauses = pausesAfterBreak(random, 300);
    assert.ok(pauses[0].pause <= 1);
    const kept = pauses.filter(({ at }) => at < 30);
    const gone = pauses.filter(({ at }) => at >= 30);
    assert.ok(kept.every(({ pause }) => pause <= 4), JSON.stringify(kept));
    assert.ok(gone.every(({ pause }) => pause > 4 && pause <= 30), JSON.stringify(gone));
    assert.ok(kept.length <= 20 && pauses.length <= 40, JSON.stringify(pauses));
  }
});

test('a full server is not asked more often for a seat that it may keep', () => {
  const backoff = new Backoff();
  backoff.setFull(true);
  assert.equal(backoff.next(1, 0), 60_000);
});
