// Addresses: of pages, of the WebSockets behind them, and the rooms that they name. Pure.

/**
 * Splits the path of a page: the folder that it is in, with a slash at its end, and the room that it names. A server has
 * its page at `/` and `/r/NAME` alone, so the rest of the path is what a proxy puts before it, whether a slash ends it
 * or not.
 */
function placeOf(path) {
  const [, before, name] = /^(.*\/)r\/([^/.]+)$/.exec(path) ?? [];
  const room = name && decoded(name);
  const folder = (room ? before : path.replace(/[^/]+\.html?$/i, '')).replace(/\/*$/, '/');
  return { folder, room: room || '' };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

const folderOf = (path) => placeOf(path).folder;

/** The room that the URL of a WebSocket names. The lobby has no name: it is there on every server. */
function roomOf(url) {
  const room = url.searchParams.get('room') ?? '';
  return /^lobby$/i.test(room) ? '' : room;
}

/** The URL of the WebSocket of another room of the same server. */
function withRoom(url, room) {
  const other = new URL(url);
  if (other.searchParams.has('room')) other.searchParams.delete('room');
  if (room && !/^lobby$/i.test(room)) other.searchParams.set('room', room);
  return other;
}

/**
 * The URL of a WebSocket whose first line is `/track`. A server that tracks waits for it; to all others the parameter
 * means nothing. It is appended as it is: the rest of a query is the person's.
 */
function trackedAt(url) {
  const other = new URL(url);
  other.search = `${url.search || '?'}${url.search ? '&' : ''}track`;
  return other;
}

/** Whether two URLs are those of one room, in whatever case its name is written. */
function isSamePlace(url, other) {
  const [one, two] = [url, other].map((of) => new URL(of));
  const [room, otherRoom] = [one, two].map((of) => folded(roomOf(of)));
  return withRoom(one, '').href === withRoom(two, '').href && room === otherRoom;
}

/** The WebSocket of the page's own server, in the room that the page's path names. */
function ownSocket({ protocol, host, pathname }) {
  const { folder, room } = placeOf(pathname);
  return withRoom(new URL(`${socketScheme(protocol)}//${host}${folder}ws`), room);
}

const socketScheme = (protocol) => protocol === 'https:' ? 'wss:' : 'ws:';

/** Whether this is a WebSocket of the page's own server, in whatever room. */
const isOwnServer = (url, page) => withRoom(url, '').href === withRoom(ownSocket(page), '').href;

/** The path of the page in the room of a WebSocket of its own server. */
function pathFor(url, page) {
  const room = roomOf(url);
  return folderOf(page.pathname) + (room && `r/${encodeURIComponent(room)}`);
}

/** The address that leads others to the room of a WebSocket. */
function shareLink(url, page) {
  if (isOwnServer(url, page)) return new URL(pathFor(url, page), page.origin);
  const link = new URL(`/${typedAddress(url, page).replace(/^(?:https?:\/\/)?[^/]*\/?/, '')}`,
    url.href.replace(/^ws/, 'http'));
  link.search = link.hash = '';
  return link;
}

/** The name that a link proposes: `?name=Zoe`. */
function nameInQuery(search) {
  const name = (new URLSearchParams(search).get('name') ?? '').normalize();
  return NAME.test(name) ? name : '';
}

/** A WebSocket's address as a person would type it: `parseAddress` reads it. */
function typedAddress(url, page) {
  const [, folder] = /^(.*\/)ws$/.exec(url.pathname) ?? [];
  if (!folder || url.username || withRoom(url, '').search) return url.href;
  const scheme = url.protocol === socketScheme(page.protocol) ? '' : url.protocol.replace('ws', 'http') + '//';
  const room = roomOf(url);
  return scheme + url.host + (room ? `${folder}r/${room}` : folder.replace(/^\/$/, ''));
}

/** The address of the page's own server, as a person would type it. */
const ownAddress = (page) => typedAddress(ownSocket(page), page);

/**
 * Returns the URL of the WebSocket behind a typed address: the URL itself, or that of the page, where the WebSocket is
 * `ws` in its folder. It may lack its scheme; nothing typed is the page's own server. Throws a `TypeError`.
 */
function parseAddress(typed, page) {
  const text = typed.trim();
  if (!text) return ownSocket(page);
  if (/\s/.test(text)) throw new TypeError('white space in an address');
  const hasScheme = /^[a-z]+:\/\//i.test(text);
  const url = new URL(hasScheme ? text.replace(/^http/i, 'ws') : `${socketScheme(page.protocol)}//${text}`);
  if (!/^wss?:$/.test(url.protocol) || !url.host) throw new TypeError('not a WebSocket address');
  url.hash = '';
  if (/^wss?:/i.test(text)) {
    if (url.pathname.endsWith('/')) url.pathname += 'ws';
    return url;
  }
  url.search = '';
  const { folder, room } = placeOf(url.pathname);
  if (!room && url.pathname.endsWith('/ws')) return url;
  url.pathname = `${folder}ws`;
  return withRoom(url, room);
}
