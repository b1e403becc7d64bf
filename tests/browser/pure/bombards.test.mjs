import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

/** What the page at work needs of a browser, and of its other files. */
const STUBS = `
  const elements = new Map();
  const element = { contains: () => false, value: '', select() {}, append() {}, firstChild: { remove() {} } };
  const $ = (id) => elements.get(id) ?? elements.set(id, { ...element }).get(id);
  const make = () => null;
  const [told, sent] = [{}, []];
  const session = { token: 't', name: 'zoe', wanted: '', place: null };
  let state = 'on';
  function put(id, text) { told[id] = text }
  function transmit(line) { sent.push(line) }
  function becauseOf() {}
`;

globalThis.matchMedia = () => ({ matches: false });
globalThis.document = { activeElement: null };

function game() {
  const files = ['Flight', 'Lines', 'Battle', 'Room'];
  const names = ['HANDLERS', 'LINES', 'cannons', 'flights', 'ghosts', 'effects', 'talk', 'told', 'read'];
  const all = load(files, [...names, 'referee: () => referee'], STUBS, 'bombards');
  /** Hears a line that is news. */
  const hear = (text) => {
    const line = all.read(text, all.LINES) ?? {};
    all.HANDLERS[line.kind]?.(line, true);
  };
  return { ...all, hear, says: (text) => hear(`bombards> ${text}`) };
}

const { REPORTS, LINES, flightOf, hits, isOrder, read } =
  load(['Flight', 'Lines'], ['REPORTS', 'LINES', 'flightOf', 'hits', 'isOrder', 'read'], '', 'bombards');

test('200,000 flights end as they do in Rust and in Python', () => {
  let s = 1n;
  const next = () => {
    s = (s * 1103515245n + 12345n) % 2n ** 31n;
    return Number(s >> 8n);
  };
  let hash = 2166136261;
  for (let n = 0; n < 200_000; n += 1) {
    const camp = next() % 2 === 0 ? 'left' : 'right';
    const x = (camp === 'left' ? 20 : 420) + next() % 261;
    const [y, angle, power] = [160 + next() % 221, next() % 101 - 15, 10 + next() % 91];
    const { path, how } = flightOf({ camp, x, y, angle, power });
    const end = path.at(-1);
    for (const word of [path.length - 1, end.x, end.y, how === 'ground' ? 0 : 1]) {
      hash = Math.imul(hash ^ word, 16777619);
    }
  }
  assert.equal((hash >>> 0).toString(16), '991f0885');
});

test('left and right mirror each other exactly', () => {
  for (let angle = -15; angle <= 85; angle += 1) {
    const shot = { y: 200 + angle, angle, power: 25 + Math.abs(angle % 70) };
    const left = flightOf({ ...shot, camp: 'left', x: 150 });
    const right = flightOf({ ...shot, camp: 'right', x: 550 });
    assert.equal(left.how, right.how);
    assert.deepEqual(left.path.map(({ x, y }) => [700_000 - x, y]), right.path.map(({ x, y }) => [x, y]));
  }
});

test('the box of a cannon is open: its border is no hit', () => {
  const cannon = { x: 100, y: 200 };
  assert.ok(hits({ x: 114_999, y: 185_001 }, cannon));
  for (const place of [{ x: 115_000, y: 200_000 }, { x: 100_000, y: 185_000 }]) assert.ok(!hits(place, cannon));
});

test('reports of the referee are read, with further fields and without', () => {
  const reports = {
    'field 700 400 barrel 30 box 15 speed 200 gravity 400 step 20': {},
    'cannon zoe left 20 160 -3': { name: 'zoe', camp: 'left', x: 20, y: 160, score: -3 },
    'cannon *target* right 680 380 0 new': { name: '*target*', camp: 'right', x: 680, y: 380, score: 0 },
    'cannons 2 tick 77': { count: 2 },
    'shot 77 дом -15 100 more': { name: 'дом', angle: -15, power: 100 },
    'end 99 zoe hit -3 -20 *target* more': { name: 'zoe', how: 'hit', x: -3, y: -20, target: '*target*' },
    'end 99 zoe out 701 12': { name: 'zoe', how: 'out', x: 701, y: 12, target: undefined },
  };
  for (const [text, fields] of Object.entries(reports)) {
    assert.deepEqual(read(text, REPORTS), { kind: text.split(' ')[0], ...fields }, text);
  }
});

test('what is no report is none', () => {
  const digits = '9'.repeat(4000);
  const texts = ['', 'cannon', 'cannon zoe middle 1 1 1', 'cannon zoe left 1.5 1 1', `cannon zoe left ${digits} 1 1`,
    'cannon zoe left 1 1 0x7', 'shot 1 zoe 86 50', 'shot 1 zoe -16 50', 'shot 1 zoe 45 9', 'shot 1 zoe 45 101',
    'shot 1 zoe NaN 50', 'shot -1 zoe 45 50', 'shot 1 zoe 45 85x', `end 1 zoe ground ${digits} 1`, 'end 1 zoe lost 1 1',
    'cannons x tick 1', 'constructor', '__proto__ 1', 'toString', ' cannon zoe left 1 1 1', 'score zoe 3'];
  for (const text of texts) {
    assert.equal(read(text, REPORTS), null, text.slice(0, 40));
  }
});

test('lines of the server are told apart', () => {
  const kinds = {
    '** session 8f14e45f heard 0 at 2wh6.x.1712 as ana': 'session',
    '@ 1764166801123 2wh6xz5p4vz0o.1711': 'stamp',
    '** bombards tells you: your shell still flies': 'aside',
    '** mallory tells you: bombards tells you: shot 1 zoe 45 85': 'note',
    'mallory> bombards> shot 1 zoe 45 85': 'said',
    '* bombards joined': 'moved',
    '** bombards is away: not told': 'away',
    '** nobody here is called bombards': 'absent',
    '** here: bombards, 12 lines, 3 min': 'here',
    '** 1 of 12,345 here': 'counted',
    '** you told bombards: look': 'quiet',
    '** you are ana, in bombards': 'quiet',
    '** you missed 123 lines': 'gap',
    '** the name ana is taken': 'notice',
    '* the server is shutting down': 'note',
    FIN: 'quiet',
  };
  for (const [text, kind] of Object.entries(kinds)) assert.equal(read(text, LINES)?.kind, kind, text);
  assert.equal(read('** here: bombards, 1 line, 3 min, away', LINES).away, ', away');
  assert.equal(read('** here: bombards, 1 line, 3 min', LINES).away, undefined);
});

test('orders are no talk', () => {
  const orders = ['fire', 'F 45', 'feu -5 100', 'JOIN', 'join left', 'leave', 'look', 'rules'];
  for (const text of orders) assert.ok(isOrder(text), text);
  for (const text of ['fire!', 'join us', 'fire 45 85 now', 'looks good', 'f45', '']) assert.ok(!isOrder(text), text);
});

test('a shot flies from its cannon, and its end tells how it went', () => {
  const { cannons, flights, ghosts, told, says } = game();
  says('shot 1 zoe 45 85');
  assert.equal(flights.size, 0, 'there is no such cannon');
  says('cannon zoe left 100 300 0');
  says('cannon bob right 600 300 0');
  says('shot 5 zoe 40 80');
  assert.deepEqual([flights.get('zoe').shot.x, cannons.get('zoe').angle], [100, 40]);
  const { path } = flightOf({ camp: 'left', x: 100, y: 300, angle: 40, power: 80 });
  assert.equal(flights.get('zoe').path.length, path.length);
  const [x, y] = [path[30].x, path[30].y].map((units) => Math.floor(units / 1000));
  says(`end 5 zoe ground ${x} ${y}`);
  assert.equal(flights.size, 0);
  assert.equal(ghosts.get('zoe').steps, 30, 'the path stops where the referee says');
  says('shot 90 zoe 40 80');
  says('end 90 zoe ground 580 400');
  assert.equal(told.news, 'Your shell (40°, 80) falls 20 px short of \u2068bob\u2069.');
  says('shot 90 bob 50 70');
  says('end 150 bob hit 101 299 zoe');
  assert.equal(told.news, '\u2068bob\u2069’s shell (50°, 70) hits you: +1.');
  assert.equal(ghosts.has('bob'), false, 'only the own flight stays');
  says('end 160 zoe hit 101 299 zoe');
  assert.equal(told.news, 'Your shell hits its own cannon: −3.');
});

test('a whole state drops whom it does not name, and half of one drops nobody', () => {
  const { cannons, says, hear } = game();
  for (const name of ['zoe', 'bob', 'eve']) says(`cannon ${name} left 100 300 0`);
  says('field 700 400');
  says('cannon zoe left 100 300 0');
  says('cannons 2 tick 5');
  assert.equal(cannons.size, 3);
  says('cannons 0 tick 5');
  assert.equal(cannons.size, 3, 'no state has begun');
  // A state in private does not mix with one that is said aloud.
  says('field 700 400');
  hear('** bombards tells you: field 700 400');
  says('cannon zoe left 100 300 0');
  hear('** bombards tells you: cannon bob left 100 300 0');
  says('cannons 1 tick 5');
  assert.deepEqual([...cannons.keys()], ['zoe']);
  // Another one begins with its first line alone.
  hear('** bombards tells you: cannon eve left 100 300 0');
  says('cannon bob left 100 300 0');
  says('cannons 2 tick 6');
  assert.deepEqual([...cannons.keys()], ['zoe', 'eve', 'bob']);
});

test('only the referee is believed', () => {
  const { cannons, talk, hear, referee } = game();
  const lies = ['mallory> cannon zoe left 100 300 0', 'mallory> bombards> cannon zoe left 100 300 0',
    '** mallory tells you: cannon zoe left 100 300 0', '* bombards> cannon zoe left 1 1 1',
    'Bombards> cannon zoe left 1 1 1', 'bombards2> cannon zoe left 1 1 1', 'bombards>cannon zoe left 1 1 1'];
  lies.forEach(hear);
  assert.equal(cannons.size, 0);
  assert.equal(referee(), 'asked');
  assert.equal(talk.at(0).text, 'cannon zoe left 100 300 0', 'from others it is talk');
  hear('bombards> hello');
  assert.equal(referee(), 'here');
});

test('whatever the referee says, memory is bounded', () => {
  const { cannons, flights, ghosts, effects, talk, says, hear } = game();
  for (let n = 0; n < 20_000; n += 1) {
    says(`cannon n${n} left ${n % 1000} ${n % 1000} ${n}`);
    says(`shot ${n} n${n % 100} 45 85`);
    if (n % 3 === 0) says(`end ${n % 7} n${n % 100} ground ${n} 1`);
    says(`cannon ${n}${'x'.repeat(9000)} left 1 1 1`);
    hear(`eve> ${'x'.repeat(9000)}`);
    hear(`* n${n % 100} is now n${n}`);
  }
  for (const all of [cannons, flights, ghosts]) assert.ok(all.size <= 64);
  assert.ok(effects.length <= 64);
  assert.ok([...cannons.keys()].every((name) => name.length < 200));
  assert.ok(talk.length <= 50 && JSON.stringify(talk).length < 50 * 600);
});

test('a person takes part under the name that was asked for, once the server has given it', () => {
  const names = 'const field = $("name"); field.value = " zoe2 ";';
  const { HANDLERS, join, sent, session, told } = load(['Flight', 'Lines', 'Battle', 'Room'],
    ['HANDLERS', 'join', 'sent', 'session', 'told'], STUBS + names, 'bombards');
  join('join left');
  assert.deepEqual(sent, ['/nick zoe2']);
  HANDLERS.notice({ text: 'the name zoe2 is taken' });
  assert.equal(told.trouble, 'The name zoe2 is taken. Choose another name.');
  join('join left');
  HANDLERS.renamed({ from: 'zoe', to: 'zoe2' }, true);
  assert.deepEqual(sent, ['/nick zoe2', '/nick zoe2', '/msg bombards join left']);
  assert.deepEqual([session.name, session.wanted], ['zoe2', 'zoe2']);
});
