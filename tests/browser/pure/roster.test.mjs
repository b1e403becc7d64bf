import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const { Roster, NAMES_MAX } = load(['limits.js', 'roster.js'], ['Roster', 'NAMES_MAX']);

const newRoster = () => {
  let changes = 0;
  const roster = new Roster(() => { changes += 1 });
  return { roster, changes: () => changes };
};

/** Takes an answer to `/who`, and returns what each row returned. */
const answer = (roster, names, more, total) => [
  ...names.map((name) => roster.takeRow({ kind: 'here', name })),
  ...(more ? [roster.takeRow({ kind: 'hereMore', clients: more })] : []),
  roster.takeRow({ kind: 'hereTotal', clients: total }),
];

test('an answer replaces what was known when it is complete', () => {
  const { roster } = newRoster();
  roster.add('eve');
  roster.asked(false);
  roster.takeRow({ kind: 'here', name: 'ana' });
  assert.deepEqual([...roster.names], ['eve']);
  roster.takeRow({ kind: 'hereMore', clients: 1234 });
  assert.equal(roster.isCounted, false);
  roster.takeRow({ kind: 'hereTotal', clients: 1235 });
  assert.deepEqual([...roster.names], ['ana']);
  assert.equal(roster.isCounted, true);
  assert.equal(roster.size, 1235);
});

test('rows are shown if a person asked, in the order of the questions', () => {
  const { roster } = newRoster();
  for (const isByPerson of [false, true, false]) roster.asked(isByPerson);
  assert.deepEqual(answer(roster, ['ana', 'bob'], 0, 2), [false, false, false]);
  assert.deepEqual(answer(roster, ['ana'], 5, 6), [true, true, true]);
  assert.deepEqual(answer(roster, [], 0, 0), [false]);
  assert.deepEqual(answer(roster, ['ana'], 0, 1), [true, true], 'without a known question, a person asked');
});

test('joining, speaking, renaming and leaving change the names', () => {
  const { roster, changes } = newRoster();
  answer(roster, ['ana', 'bob'], 3, 5);
  const before = changes();
  roster.add('eve');
  assert.equal(roster.size, 5, 'eve was one of the unnamed');
  roster.rename('ana', 'anna');
  assert.deepEqual([[...roster.names], roster.unnamed], [['bob', 'eve', 'anna'], 2]);
  roster.rename('client-9', 'zoe');
  assert.deepEqual([[...roster.names], roster.unnamed], [['bob', 'eve', 'anna', 'zoe'], 1]);
  roster.remove('bob');
  roster.remove('client-8');
  roster.remove('client-7');
  assert.deepEqual([[...roster.names], roster.unnamed], [['eve', 'anna', 'zoe'], 0]);
  assert.ok(changes() > before);
});

test('a name that is known changes nothing', () => {
  const { roster, changes } = newRoster();
  answer(roster, ['ana'], 2, 3);
  const before = changes();
  roster.add('ana');
  assert.deepEqual([roster.size, changes()], [3, before]);
});

test('names beyond the limit are not kept', () => {
  const { roster } = newRoster();
  for (let n = 0; n < NAMES_MAX + 5; n += 1) roster.add(`client-${n}`);
  assert.equal(roster.names.size, NAMES_MAX);
});

test('after it is cleared an answer that was arriving is forgotten', () => {
  const { roster } = newRoster();
  roster.asked(true);
  roster.takeRow({ kind: 'here', name: 'ana' });
  roster.clear();
  assert.deepEqual(answer(roster, ['bob'], 0, 1), [true, true]);
  assert.deepEqual([...roster.names], ['bob']);
});

test('names of a room that the page left are forgotten, and answers that are due are not', () => {
  const { roster } = newRoster();
  roster.asked(false);
  answer(roster, ['ana', 'bob'], 3, 5);
  roster.asked(true);
  roster.asked(false);
  roster.leave();
  assert.deepEqual([[...roster.names], roster.size, roster.isCounted], [[], 0, false]);
  assert.deepEqual(answer(roster, ['eve'], 0, 1), [true, true]);
  assert.deepEqual(answer(roster, ['eve'], 0, 1), [false, false]);
});

test('the answer to a search adds names, and counts all', () => {
  const { roster } = newRoster();
  roster.add('ana');
  roster.asked(false);
  assert.equal(roster.takeRow({ kind: 'here', name: 'ben' }), false);
  assert.equal(roster.takeRow({ kind: 'hereFound', found: 1, clients: 500 }), false);
  assert.deepEqual([[...roster.names], roster.size], [['ana', 'ben'], 500]);
});
