// What the browser keeps: the name for the next visit, and the rest of this tab for a reload. A browser may forbid
// both; then the page starts empty.

function store(name) {
  try { localStorage.setItem('name', name) } catch { /* see above */ }
}

function storeTab() {
  const isIn = state !== 'off';
  const tab = { isIn, server: $('server').value, name: isIn ? wanted : $('name').value, draft: $('draft').value };
  try { sessionStorage.setItem('tab', JSON.stringify(tab)) } catch { /* see above */ }
}

function storedTab() {
  try {
    return { name: localStorage.getItem('name'), ...JSON.parse(sessionStorage.getItem('tab')) };
  } catch {
    return {};
  }
}
