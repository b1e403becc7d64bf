// What the page does with each line of the server.

/** Answers that nothing was done. */
const UNDONE = /^there is no command|^nobody here is|: not told$/;

const HANDLERS = {
  // The Close frame that follows a farewell tells the reason.
  farewell() {},

  ready: onReady,

  // So does this: the page comes back by itself.
  handedOver() {},

  // A session tells these in the events that they lead to.
  resumed() {},

  cannotResume() {
    show({ rule: 'Lines may be missing here' });
    // The next client of that name is perhaps another person.
    endAside(aside);
  },

  elsewhere: heardElsewhere,

  placed: ({ name, room }) => {
    welcomeAs(name);
    placedIn(room);
  },

  /** The server took an own line that has no record to come. */
  taken({ line, isRefused }) {
    if (isRefused) markFailed(line, 'not relayed');
    else showSent(line, line.at + session.offset);
  },

  /** The records of a lost session have told which lines are said again, and which are in doubt. */
  decided({ lost }) {
    failLost(lost);
    sendHeld();
  },

  caughtUp: () => show({ rule: 'Now' }),

  said(heard) {
    if (heard.isRecord) return onRecord(heard);
    const { from, text } = heard;
    // A `client-7` of an earlier life of the server was another client.
    const wasOwn = mine.has(from) && !from.startsWith('client-');
    if (replay) return replayLine({ from, text, at: 0, own: wasOwn, earlier: true });
    roster.add(from);
    // With --audience everyone the own line comes back; the page showed it when it was sent.
    if (from === me) return;
    showNews({ from, text, at: Date.now(), own: false });
  },

  welcome: ({ name }) => welcomeAs(name),

  earlier({ lines }) {
    if (session.mode === 'tracked') show({ rule: lines ? count(lines, 'earlier line') : 'Earlier lines' });
    else beginReplay(lines);
  },

  missed({ notice, lines }) {
    if (replay) missedInReplay(lines);
    showHeard({ missed: notice.replace('you', 'You') });
  },

  renamed(heard) {
    const { from, to } = heard;
    if (isNews(heard) && from === me && heard.isOwn !== false) renamed(to);
    if (isNews(heard)) {
      roster.rename(from, to);
      followIgnored(from, to);
      followAside(from, to);
    }
    showMove(heard, [{ name: from }, ' is now ', { name: to }]);
  },

  joined(heard) {
    if (isNews(heard)) roster.add(heard.name);
    showMove(heard);
  },

  left: onGone,
  removed: onGone,

  here: onRosterRow,
  hereMore: (row) => (isListingRooms ? onRoomRow(row) : onRosterRow(row)),
  hereTotal: onRosterRow,
  hereFound: onRosterRow,
  roomHere: onRoomRow,
  roomsTotal: onRoomRow,

  inRoom(heard) {
    joinAnswered();
    enterRoom(heard);
  },

  inRoomAlready: ({ notice }) => refusedJoin(notice),
  joinRefused: ({ notice }) => refusedJoin(notice),

  roomsFull({ notice }) {
    // The page enters in no other room than that of its address: the server closes the connection.
    if (!me) noPlace(notice);
    refusedJoin(notice);
  },

  nameTaken({ notice, name }) {
    if (isJoining(name)) refusedJoin(notice);
    else refusedName(notice, true);
  },

  nameMalformed: ({ notice }) => refusedName(notice, false),
  nameLookalike: ({ notice }) => refusedName(notice, false),
  nameOwned: onNameOwned,
  tokenWrong: onNameOwned,
  tokenUnknown: onTokenUnknown,
  nameTakenOver: onNameLost,
  nameLost: onNameLost,
  nameSettled: onNameSettled,

  passwordWanted: atGate(onPasswordWanted),
  passwordWrong: atGate(onPasswordWrong),
  passwordRefused: atGate(onPasswordOver),
  passwordCrowded: atGate(onPasswordCrowded),
  passwordMissing: atGate(onPasswordOver),

  nameUnchanged({ notice, name }) {
    if (naming) named(name);
    else showNotice(notice);
  },

  tellsYou(heard) {
    showNews({ from: heard.from, text: heard.text, at: timeHeard(heard), own: false, private: true });
  },

  youTold: (heard) => showHeard({ from: heard.to, text: heard.text, at: timeHeard(heard), own: true, private: true }),

  tooLong({ notice, bytes }) {
    takeBackLongest(bytes);
    showNotice(notice);
  },

  // The code of the Close frame keeps the page from coming back by itself.
  banned: ({ notice }) => showHeard({ parts: [notice], at: 0 }),

  // In the page, only a command leaves.
  other({ notice, isRecord, at }) {
    const text = notice.replace(/^FIN, exit or (\/quit: leave)$/, '$1 (FIN, exit are words here)');
    showHeard({ parts: [text], at: isRecord ? at : 0, isRefusal: isRecord ? undefined : UNDONE.test(notice) });
  },
};

function hear(line) {
  session.hear(line, Date.now()).forEach(act);
}

function act(event) {
  HANDLERS[event.kind](event);
}

/** Whether this tells about the room as it is now. */
const isNews = ({ isNews }) => isNews ?? !replay;

/** The time of a record is that of the server. */
const timeHeard = ({ at }) => at ?? Date.now();

/** A said line of a tracked room; `line` is the own one that it is the record of. */
function onRecord({ from, text, at, line, isNews, isEarlier, isOwn }) {
  const own = isOwn || (mine.has(from) && !from.startsWith('client-') && isEarlier);
  if (isNews) roster.add(from);
  if (line) showSent(assign(line, { from, text }), at);
  else if (own || isEarlier) show({ from, text, at, own, earlier: isEarlier });
  else showNews({ from, text, at, own });
}

function showSent(line, at) {
  show(assign(line, { at, late: false }));
}

/** What a server says before it lets the page in means nothing later. */
function atGate(handle) {
  return (heard) => (session.mode === 'asking' ? handle(heard) : showNotice(heard.notice));
}

function refusedJoin(notice) {
  joinAnswered();
  showNotice(notice);
}

/** Shows a line of another client that was said just now, or while the page was away. */
function showNews(line) {
  line.mention = !line.private && mentions(line.text, me);
  showHeard(line);
  announce(line);
}

function showMove(heard, parts = [{ name: heard.name }, heard.notice.slice(heard.name.length)]) {
  showHeard({ move: heard.kind, parts, at: timeHeard(heard) });
}

function onGone(heard) {
  if (isNews(heard)) {
    roster.remove(heard.name);
    endAside(heard.name);
  }
  showMove(heard);
}

function onRosterRow(row) {
  if (roster.takeRow(row)) showAnswer(row.notice);
}

/** Shows the answer to a command. */
function showAnswer(text) {
  showHeard({ parts: [text], at: 0 });
}

/** Shows that something is not done as it was asked for. */
function showNotice(text) {
  showHeard({ parts: [text], at: 0, isRefusal: true });
}
