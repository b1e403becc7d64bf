// The password of a server: the field that asks for it, and the word, for as long as the tab is open. Before the right
// word, a server shows nothing of its rooms and takes no line: the answer to `/track` waits behind it.

let gate = 'open';         // 'open', 'asking' the person, 'checking' a word that was typed, or 'trying' one from before
let password = null;       // { server, word }; `server` is its URL without a room. No other server is sent the word
let verdict = '';          // what the server says as it closes the connection for want of the word

function restorePassword(kept) {
  password = secretKept(kept, ['server', 'word']);
}

/** A connection begins. The field stays, if the person has not answered yet. */
function approachGate() {
  verdict = '';
  if (gate !== 'asking') openGate();
}

/** The server has let the page in. */
function passGate() {
  const isTyped = gate === 'checking';
  openGate();
  if (isTyped) draft.focus();
}

/** The page is disconnected for good. A person who was refused may try another word. */
function leaveGate() {
  if (!verdict) openGate();
}

function openGate() {
  gate = 'open';
  $('password').value = '';
  refuseWord('');
  showGate();
}

function onPasswordWanted() {
  // Each line behind a word that is wrong asks once more.
  if (gate === 'checking' || gate === 'trying') return;
  if (gate === 'asking') askPerson($('refusal').textContent);
  else if (password?.server === serverNow()) giveWord('trying');
  else askPerson('');
}

function onPasswordWrong({ notice }) {
  password = null;
  storeTab();
  askPerson(`${sentence(notice)}.`);
}

/** The server closes the connection: there was no right word, or none at all. */
function onPasswordOver({ kind, notice }) {
  verdict = notice.replace(/: goodbye$/, '');
  if (kind !== 'passwordRefused') return;
  onPasswordWrong({ notice: verdict });
}

/** The server takes no word from this address for a while. The page tries again then: the word may be right. */
function onPasswordCrowded({ notice }) {
  openGate();
  noPlace(notice);
}

function askPerson(problem) {
  gate = 'asking';
  become('asked');
  refuseWord(problem);
  showGate();
  $('password').focus();
}

function refuseWord(problem) {
  put('refusal', problem);
  $('password').ariaInvalid = problem !== '';
}

/** Gives the word to the server. If it is right, the connection begins anew. */
function giveWord(next) {
  gate = next;
  transmit(`/pass ${password.word}\n${session.begin()}`);
  awaitAnswer();
}

/** Takes the word that the person typed, for this connection or for the next one. */
function takeWord(word) {
  if (word.trim() === '') return $('password').focus();
  password = { server: serverNow(), word };
  $('password').value = '';
  refuseWord('');
  if (state === 'asked') {
    become('connecting');
    return giveWord('checking');
  }
  openGate();
  if (state === 'off') connect();
  if (state === 'waiting') openSocket();
  draft.focus();
}

/** While the person is asked, the field has the place of the messages'. */
function showGate() {
  const isShut = gate === 'asking' || gate === 'checking';
  $('gate').hidden = !isShut;
  $('composer').hidden = isShut;
}
