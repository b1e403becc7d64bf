import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const { isOwnServer, isSamePlace, ownAddress, parseAddress, pathFor, placeOf, roomOf, trackedAt, typedAddress, withRoom } = load(
  ['text.js', 'address.js'],
  ['isOwnServer', 'isSamePlace', 'ownAddress', 'parseAddress', 'pathFor', 'placeOf', 'roomOf', 'trackedAt', 'typedAddress', 'withRoom'],
);
const pageAt = (pathname, protocol = 'https:') => ({ protocol, host: 'chat.example', pathname });

test('a page in a room opens the WebSocket of that room in its folder', () => {
  const sockets = {
    '/r/rust': 'wss://chat.example/ws?room=rust',
    '/chat/r/rust': 'wss://chat.example/chat/ws?room=rust',
    '/r/r/rust': 'wss://chat.example/r/ws?room=rust',
    '/r/%D0%B4%D0%BE%D0%BC': 'wss://chat.example/ws?room=%D0%B4%D0%BE%D0%BC',
    '/r/ws': 'wss://chat.example/ws?room=ws',
    '/chat/r/r': 'wss://chat.example/chat/ws?room=r',
    '/r/lobby': 'wss://chat.example/ws',
    '/r/LOBBY': 'wss://chat.example/ws',
    // These are folders of a proxy, or files.
    '/r/': 'wss://chat.example/r/ws',
    '/r/rust/': 'wss://chat.example/r/rust/ws',
    '/r': 'wss://chat.example/r/ws',
    '/r/index.html': 'wss://chat.example/r/ws',
    '/r/%zz': 'wss://chat.example/r/%zz/ws',
    '/bar/rust': 'wss://chat.example/bar/rust/ws',
  };
  for (const [pathname, url] of Object.entries(sockets)) {
    const page = pageAt(pathname);
    assert.equal(parseAddress('', page).href, url, pathname);
    assert.equal(parseAddress(ownAddress(page), page).href, url, `${pathname}, typed`);
  }
  assert.equal(ownAddress(pageAt('/r/%D0%B4%D0%BE%D0%BC')), 'chat.example/r/дом');
  assert.deepEqual(placeOf('/chat/r/rust'), { folder: '/chat/', room: 'rust' });
});

test('the address of a room can be typed', () => {
  const page = pageAt('/', 'http:');
  const addresses = {
    'other/r/rust': 'ws://other/ws?room=rust',
    'other:7000/chat/r/дом?x#y': 'ws://other:7000/chat/ws?room=%D0%B4%D0%BE%D0%BC',
    'https://other/r/rust': 'wss://other/ws?room=rust',
    'wss://other/ws?room=rust': 'wss://other/ws?room=rust',
    'wss://other/chat?a=b&room=rust': 'wss://other/chat?a=b&room=rust',
  };
  for (const [typed, url] of Object.entries(addresses)) {
    const address = parseAddress(typed, page);
    assert.equal(address.href, url, typed);
    assert.equal(roomOf(address), typed.includes('дом') ? 'дом' : 'rust');
    assert.equal(parseAddress(typedAddress(address, page), page).href, url, typed);
    for (const room of ['go', 'é', '']) {
      const other = withRoom(address, room);
      assert.equal(roomOf(other), room);
      assert.equal(parseAddress(typedAddress(other, page), page).href, other.href, `${typed}, ${room}`);
    }
  }
  assert.equal(typedAddress(new URL('wss://other/ws?room=go'), page), 'https://other/r/go');
  assert.equal(typedAddress(new URL('ws://other:1/ws'), page), 'other:1');
});

test('a room is the same in whatever case its name is written', () => {
  const [lobby, rust, go] = ['', '?room=Rust', '?room=go'].map((query) => `ws://a/ws${query}`);
  assert.ok(isSamePlace(rust, 'ws://a/ws?room=rUST'));
  assert.ok(isSamePlace('ws://a/ws?room=%C3%89', 'ws://a/ws?room=e%CC%81'));
  assert.ok(isSamePlace(lobby, 'ws://a/ws?room=LOBBY'));
  for (const other of [lobby, go, 'ws://b/ws?room=rust', 'ws://a/chat/ws?room=rust', 'wss://a/ws?room=rust']) {
    assert.ok(!isSamePlace(rust, other), other);
  }
});

test('a WebSocket promises its first line', () => {
  const urls = { 'wss://a/ws': 'wss://a/ws?track', 'wss://a/ws?room=rust': 'wss://a/ws?room=rust&track' };
  for (const [url, tracked] of Object.entries(urls)) assert.equal(trackedAt(new URL(url)).href, tracked);
});

test('the address bar follows the room on the own server alone', () => {
  for (const [path, folder] of [['/', '/'], ['/r/rust', '/'], ['/chat/r/rust', '/chat/'], ['/chat', '/chat/']]) {
    const page = pageAt(path);
    const own = parseAddress('', page);
    assert.ok(isOwnServer(withRoom(own, 'go'), page));
    assert.equal(pathFor(withRoom(own, 'дом'), page), `${folder}r/%D0%B4%D0%BE%D0%BC`);
    assert.equal(pathFor(withRoom(own, 'lobby'), page), folder);
    assert.ok(!isOwnServer(new URL('wss://other/ws?room=rust'), page));
  }
});
