// What the browser keeps: the name for the next visit, and the rest of this tab for a reload. A browser may forbid
// both; then the page starts empty. Pages of several servers may share an origin, each in a folder of its own.

const TAB = `tab ${folderOf(location.pathname)}`;

function store(name) {
  try { localStorage.setItem('name', name) } catch { /* see above */ }
}

/** Keeps a choice of the person for all visits. */
function prefer(choice, isSo) {
  try { localStorage.setItem(choice, isSo ? '1' : '') } catch { /* see above */ }
}

function isPreferred(choice) {
  try { return localStorage.getItem(choice) === '1' } catch { return false }
}

function storeTab() {
  const isIn = state !== 'off';
  const name = isIn ? wanted : $('name').value;
  const kept = keptLines(unsentToKeep());
  const tab = { isIn, page: location.pathname, server: $('server').value, name, draft: draft.value, unsent: kept };
  if (password) assign(tab, { password });
  if (owned) assign(tab, { owned });
  if (ignored.length) assign(tab, { ignored });
  if (aside) assign(tab, { aside: [aside, isAsideGone || !isIn] });
  if (session.token) assign(tab, { home, room: roomName, rooms: [...rooms.keys()],
    session: keptSession(session), log: keptLog(newest) });
  try { sessionStorage.setItem(TAB, JSON.stringify(tab)) } catch { /* see above */ }
}

/** Returns what the tab kept. At another path than before, the person opened another room: the path decides. */
function storedTab() {
  try {
    const { page, server, ...tab } = JSON.parse(sessionStorage.getItem(TAB)) ?? {};
    const isHere = page === location.pathname;
    return { name: localStorage.getItem('name'), ...tab, isHere, server: isHere ? server : undefined };
  } catch {
    return {};
  }
}
