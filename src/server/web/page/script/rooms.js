// The list of rooms: those that this tab has been in, and those that the server has told of. The page is in one room
// at a time. It counts what is unread there, and tells for no other room what it does not know.

const ROOMS_MAX = 200;
let rooms = new Map();         // for each name, the number of its clients, as far as the server told
let roomsTimer = 0;            // until the list is shown anew
let isAskedForRooms = false;   // whether the page itself asked for the rooms
let isListingRooms = false;    // whether the answer has begun

function restoreRooms(names) {
  if (isArray(names)) rooms = new Map(names.filter(isText).slice(0, ROOMS_MAX).map((name) => [name, 0]));
}

/** The page is in this room, or the server tells of it. */
function addRoom(name, clients = 0) {
  if (rooms.size >= ROOMS_MAX && !rooms.has(name)) return;
  rooms.set(name, clients || rooms.get(name) || 0);
  roomsChanged();
}

function onRoomRow({ kind, room, clients, notice }) {
  if (!isAskedForRooms) showAnswer(notice);
  isListingRooms = kind !== 'roomsTotal';
  if (!isListingRooms) roomsAnswered();
  if (room) addRoom(room, clients);
}

/** No answer about rooms is due. */
function roomsAnswered() {
  isAskedForRooms = isListingRooms = false;
}

/** Shows the list anew, soon: also a hidden page has it right, and a flood costs nothing. */
function roomsChanged() {
  roomsTimer ||= setTimeout(showRooms, SECOND / 10);
}

function showRooms() {
  roomsTimer = 0;
  const here = roomName || 'lobby';
  const focused = document.activeElement?.dataset.room;
  const rows = [...new Set([here, ...rooms.keys()])].sort(byName).map((name) =>
    roomRow(name, name === here));
  $('room-list').replaceChildren(...rows);
  $('game').hidden = !rooms.has('bombards') || !isOwnServer(address, location);
  $('game').href = `${folderOf(location.pathname)}bombards`;
  if (focused) $('room-list').querySelector(`[data-room="${CSS.escape(focused)}"]`)?.focus();
}

function roomRow(name, isHere) {
  const button = make('button', '', make('bdi', '', name));
  button.dataset.room = name;
  const waiting = isHere ? unread + newLines : 0;
  const clients = isHere ? 0 : rooms.get(name);
  if (waiting) button.append(make('b', called ? 'badge called' : 'badge', grouped(waiting),
    make('span', 'unseen', ' unread')));
  else if (clients) button.append(make('span', 'there', `${grouped(clients)} here`));
  if (isHere) button.ariaCurrent = 'true';
  on(button, 'click', () => joinRoom(name));
  return make('li', '', button);
}

function joinRoom(name) {
  openRooms(false);
  draft.focus();
  if (name !== (roomName || 'lobby')) showProblem(say(`/join ${name}`));
}

/** On a wide screen the list is there; on others it covers the log until it is closed. */
function openRooms(isOpen) {
  $('rooms').classList.toggle('open', isOpen);
  if (isOpen) $('other').focus();
}

/** Asks for the rooms, as the person is about to choose one: asking counts as saying something. */
function askForRooms() {
  if (!isOn() || isAskedForRooms) return;
  isAskedForRooms = true;
  ask('/rooms');
}

onSubmit('enter', () => {
  const name = $('other').value.trim();
  $('other').value = '';
  if (name) joinRoom(name);
});
on('other', 'focus', askForRooms);
on('to-rooms', 'click', () => { openMenu(false); openRooms(true) });
on('close-rooms', 'click', () => { openRooms(false); $('more').focus() });
