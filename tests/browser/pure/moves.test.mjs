import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const { summaryOf } = load(['text.js', 'moves.js'], ['summaryOf']);

const summary = (...moves) => summaryOf(moves.map((text) => {
  const [name, move, to] = text.split(' ');
  return { move, parts: [{ name }, ' does ', { name: to }] };
})).replace(/[\u2068\u2069]/g, '');

test('joins and leaves in a row are a sentence', () => {
  assert.equal(summary('a joined', 'b joined'), 'a and b came');
  assert.equal(summary('a joined', 'b joined', 'c joined'), 'a, b and c came');
  assert.equal(summary('a joined', 'b joined', 'c joined', 'd joined', 'e joined'), 'a, b and 3 others came');
  assert.equal(summary('a joined', 'x left', 'y removed'), 'a came, x and y left');
  assert.equal(summary('a joined', 'a left'), 'a came and left');
  assert.equal(summary('a left', 'a joined'), 'a came');
  assert.equal(summary('client-1 joined', 'client-1 renamed ben'), 'ben came');
  assert.equal(summary('a joined', 'x renamed y'), 'a came, x is now y');
  assert.equal(summary('client-1 renamed a', 'a joined'), 'a came');
  assert.equal(summary('x renamed y', 'u renamed v'), '2 have other names');
});

test('a name cannot reorder the sentence', () => {
  assert.equal(summaryOf([{ move: 'joined', parts: [{ name: 'עדה' }] }]), '\u2068עדה\u2069 came');
});
