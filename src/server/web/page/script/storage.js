// What the browser keeps: the name for the next visit, and the rest of this tab for a reload. A browser may forbid
// both; then the page starts empty. Pages of several servers may share an origin, each in a folder of its own.

const TAB = `tab ${folderOf(location.pathname)}`;

function store(name) {
  try { localStorage.setItem('name', name) } catch { /* see above */ }
}

function storeTab() {
  const isIn = state !== 'off';
  const name = isIn ? wanted : $('name').value;
  const kept = keptLines(unsentToKeep());
  const tab = { isIn, page: location.pathname, server: $('server').value, name, draft: $('draft').value, unsent: kept };
  if (password) Object.assign(tab, { password });
  if (owned) Object.assign(tab, { owned });
  if (session.token) Object.assign(tab, { home, room: roomName, session: keptSession(session), log: keptLog(newest) });
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
