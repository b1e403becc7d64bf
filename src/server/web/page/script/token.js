// The name that belongs to the person, as this tab knows it, and the field for its token. The token goes to no other
// server, and with no other name.

let owned = null;          // { server, name, token }; `server` is its URL without a room
let offered = '';          // what the page itself has put into the field
let isTokenDue = false;    // whether the server asks for the token of the name that the person wants

function restoreToken(kept) {
  owned = secretKept(kept, ['server', 'name', 'token']);
}

const serverNow = () => withRoom(address, '').href;

const tokenFor = (name) => owned?.server === serverNow() && isSameName(owned.name, name) ? owned.token : '';

/** The command that asks for a name, with its token. */
function nickLine(name) {
  const token = tokenFor(name);
  return token ? `/nick ${name} ${token}` : `/nick ${name}`;
}

/** Reads `/nick NAME` of the person's own name, which needs no typed token. */
function ownNameIn(text) {
  const [, name = ''] = /^\/nick[ \t]+([^ \t]+)[ \t]*$/i.exec(text) ?? [];
  const token = name && tokenFor(name);
  return token ? { name, token } : null;
}

/** Takes the token in the field as that of the name. */
function keepToken(name) {
  const token = $('token').value.trim();
  if (token) owned = { server: serverNow(), name, token };
  else if (tokenFor(name)) owned = null;
  offered = $('token').value = token;
}

/** Fills the field, unless the person has: with the token of the name and the server in the form. */
function offerToken() {
  if ($('token').value !== offered) return;
  offered = '';
  if (owned && isSameName(owned.name, $('name').value.trim()) && owned.server === typedServer()) offered = owned.token;
  $('token').value = offered;
}

function typedServer() {
  try {
    return withRoom(parseAddress($('server').value, location), '').href;
  } catch {
    return '';
  }
}

/** The token is wrong, or the name needs none. */
function forgetToken(name) {
  if (tokenFor(name)) owned = null;
  offered = $('token').value = '';
  storeTab();
}

/** The page has not shown the token of the name. The field comes, if the page asked for the name. */
function onNameOwned({ kind, notice, name }) {
  if (kind === 'tokenWrong') forgetToken(name);
  const isByPerson = naming?.until === 0;
  isTokenDue ||= naming !== null;
  refusedName(notice, false);
  if (isTokenDue) showProblem(`You are ${me}, for now. ${TOKEN_WANTED[kind](name)}`);
  showState();
  if (isByPerson && draft.value === '') $('token').focus();
}

const TOKEN_WANTED = {
  nameOwned: (name) => `${name} belongs to somebody: give the token, or choose another name.`,
  tokenWrong: (name) => `That is not the token of ${name}.`,
};

/** The name belongs to nobody: it is there without a token. */
function onTokenUnknown({ notice, name }) {
  forgetToken(name);
  showNotice(notice);
  if (naming) requestName(naming.until);
}

function tokenAnswered() {
  isTokenDue = false;
  offerToken();
}

function showToken() {
  $('owner').hidden = state !== 'off' && !(state === 'on' && isTokenDue);
}

/** Takes the name and the token from the address, which is cleared of them. Returns whether there was such a link. */
function openLink() {
  const { hash } = location;
  if (hasToken(hash)) {
    try { history.replaceState(null, '', location.pathname + location.search) } catch { /* As in place.js. */ }
  }
  const link = linkOf(hash);
  if (!link) return false;
  owned = { server: withRoom(ownSocket(location), '').href, ...link };
  if (state === 'off') $('server').value = ownAddress(location);
  $('name').value = link.name;
  $('token').value = offered;
  offerToken();
  return true;
}

/** A link was opened in the page at work: the person asks for its name. */
function followLink() {
  if (!openLink()) return;
  if (state === 'off') $('connect').focus();
  else if (isOwnServer(address, location)) wish();
  storeTab();
}
