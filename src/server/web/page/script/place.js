// Where the page is: the server, and the room. The heading, the address bar and the log follow it.

let address = null;            // the URL of the WebSocket, which names the room
let roomName = '';             // the name of the room as the server writes it; empty while the page knows of none
let isBorderShown = false;     // whether the log tells where the lines of this room begin
let isAimed = false;           // whether the person chose this room: a session that is in another one moves here

/** Takes the address from the form. Returns whether it is one. */
function aim() {
  let url;
  try {
    url = parseAddress($('server').value, location);
  } catch {
    return false;
  }
  goTo(url);
  isAimed = true;
  return true;
}

/** The room is that of the session, as an earlier load of the page has stored it; its lines are in the log. */
function stayIn(room) {
  if (!room) return;
  roomName = room;
  addRoom(room);
  isBorderShown = true;
  showRoom();
}

/** Aims at the room of this WebSocket. What was read or not sent in another room stays with that room. */
function goTo(url) {
  const isElsewhere = !address || !isSamePlace(url, address);
  address = url;
  if (isElsewhere) {
    roomName = roomOf(url);
    isBorderShown = false;
    forgetRecent();
  }
  showAddress();
  showRoom();
  showUnsent();
}

/** The page goes where the session is. */
function followSession() {
  isAimed = false;
}

/** The session is in this room: in that of the address, or where it was. */
function placedIn(room) {
  const isHere = isSamePlace(withRoom(address, room), address);
  if (isAimed && !isHere) ask(`/join ${roomOf(address) || 'lobby'}`);
  else if (!isHere || (!isBorderShown && roomOf(address))) enterRoom({ notice: `you are in ${room}`, room });
  isAimed = false;
}

/** The server let the page into a room: into the one of its address, or into another one after `/join`. */
function enterRoom({ notice, room: name }) {
  endReplay();
  const url = withRoom(address, name);
  const isMove = !isSamePlace(url, address);
  goTo(url);
  roomName = name;
  showRoom();
  $('server').value = typedAddress(address, location);
  addRoom(name);
  if (!isBorderShown) show({ rule: sentence(notice) });
  isBorderShown = true;
  if (!isMove) return;
  endAside();
  roster.leave();
  askWho();
}

function showRoom() {
  put('room', roomName || 'pollchat');
  $('room').classList.toggle('named', roomName !== '');
  showUnread();
}

/** Puts the room into the address bar, so that a reload comes back to it. Only the own server has a page for it. */
function showAddress() {
  if (!isOwnServer(address, location) || roomOf(address) === roomOf(ownSocket(location))) return;
  const url = location.origin + pathFor(address, location) + location.search;
  try { history.replaceState(null, '', url) } catch { /* A browser may forbid it, as for too many changes. */ }
}
