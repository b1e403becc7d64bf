// Reasons why a connection did not open. Pure.

const NO_SERVER = 'The proxy does not reach the server, which may be down.';

/** The texts of an answer that did not come from the server itself, by status. */
const REFUSALS = {
  404: 'There is no chat at this address: check its path.',
  429: 'There are too many connections from your address.',
  502: NO_SERVER,
  503: 'The server is full, or a proxy does not reach it.',
  504: NO_SERVER,
};

/**
 * Returns what an answer to a POST for the page's own WebSocket says about a connection that did not open: a text for
 * the person, whether it refuses, and whether the server is full. `text` is what the server says itself, or empty.
 */
function readRefusal(status, text, page) {
  const isFull = status === 429 || status === 503;
  // The server takes a WebSocket, and no POST: something on the way stopped the WebSocket.
  if (status === 405 || status === 426) {
    return { advice: 'The server is there, but a proxy may block WebSockets.', refuses: false, isFull };
  }
  const says = text && sentence(text) + (/[.!?]$/.test(text) ? '' : '.');
  const advice = adviceFor(status, text, page) || says || REFUSALS[status] ||
    `A proxy answers instead of the server, with status ${status}.`;
  return { advice, refuses: true, isFull };
}

/** What to tell the operator. The server repeats nothing of a request, so only the page can name names. */
function adviceFor(status, text, { hostname, origin }) {
  const ask = 'ask its operator to start it with';
  if (status === 421) return `This server does not answer to the name ${hostname}: ${ask} --web-host ${hostname}`;
  if (status === 403 && text.includes('--web-origin')) {
    return `This server is not open to pages of ${origin}: ${ask} --web-origin ${origin}`;
  }
  return '';
}

/**
 * The likely reasons if nothing is known. A browser tells a page nothing about a failed connection to another site, which
 * `--web-origin` would open to the page; a server does not answer to a name without `--web-host`.
 */
function likelyReasons(address, page) {
  if (isOwnServer(address, page)) return 'The server may be down, or a proxy may block WebSockets.';
  const isName = !/^([\d.]+|\[.*\]|localhost)$/.test(address.hostname);
  const host = isName ? `--web-host ${address.hostname} ` : '';
  return `The server may be down, or listen on another port; or it may need ${host}--web-origin ${page.origin}`;
}
