import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const { overlap, unseenLines } = load(['replay.js'], ['overlap', 'unseenLines']);

const heard = (...texts) => texts.map((text) => ({ from: 'bob', text, own: false }));
const own = (text) => ({ from: 'ana', text, own: true });
const texts = (lines) => lines.map(({ text, parts }) => text ?? parts[0]);
const never = () => false;

test('the overlap is the longest end of one list that begins the other', () => {
  const cases = [
    [[], ['a'], 0], [['a'], [], 0], [['a'], ['a'], 1], [['a', 'b'], ['b', 'c'], 1], [['a', 'b'], ['a', 'b', 'c'], 2],
    [['a', 'b', 'c'], ['a', 'b'], 0], [['a', 'a'], ['a', 'a', 'a'], 2], [['x', 'a', 'b', 'a'], ['a', 'b', 'a'], 3],
  ];
  for (const [before, after, n] of cases) {
    assert.equal(overlap(heard(...before), heard(...after)), n, `${before}|${after}`);
  }
  assert.equal(overlap(heard('a'), [{ from: 'eve', text: 'a', own: false }]), 0, 'the senders differ');
});

test('lines of others that are shown already are left out', () => {
  const unseen = unseenLines(heard('a', 'b', 'c'), heard('b', 'c', 'd', 'e'), never);
  assert.deepEqual(texts(unseen), ['d', 'e']);
});

test('a page that shows nothing yet takes all', () => {
  assert.deepEqual(texts(unseenLines([], [...heard('a'), own('b')], never)), ['a', 'b']);
});

test('own lines between the others do not hide the overlap', () => {
  const recent = [...heard('a'), own('x'), ...heard('b')];
  const replayed = [own('x'), ...heard('a', 'b'), own('y'), ...heard('c')];
  const unseen = unseenLines(recent, replayed, (text) => text === 'x');
  assert.deepEqual(texts(unseen), ['y', 'c']);
});

test('each own line of the replay is asked about, shown or not', () => {
  const asked = [];
  unseenLines(heard('a', 'b'), [...heard('a'), own('x'), ...heard('b'), own('y')], (text) => asked.push(text) > 0);
  assert.deepEqual(asked, ['x', 'y']);
});

test('notices among known lines are known, and later ones are new', () => {
  const replayed = [{ parts: ['old'] }, ...heard('a'), { parts: ['new'] }, ...heard('b')];
  assert.deepEqual(texts(unseenLines(heard('a'), replayed, never)), ['new', 'b']);
});
