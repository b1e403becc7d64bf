// What the page does with each line of the server.

const HANDLERS = {
  // The Close frame that follows a farewell tells the reason.
  farewell() {},

  ready: (answer) => onReady(answer),

  // So does this: the page comes back by itself.
  handedOver() {},

  // A session tells these in the events that they lead to.
  resumed() {},

  cannotResume: () => show({ rule: 'Lines may be missing here' }),

  elsewhere: () => heardElsewhere(),

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

  caughtUp: () => show({ rule: 'now' }),

  said(heard) {
    if (heard.isRecord) return onRecord(heard);
    const { from, text } = heard;
    // A `client-7` of an earlier life of the server was another client.
    const wasOwn = mine.has(from) && !from.startsWith('client-');
    if (replay) return replayLine({ from, text, at: 0, own: wasOwn, earlier: true });
    roster.add(from);
    // With --audience everyone the own line comes back; the page showed it when it was sent.
    if (from === me) return;
    showHeard({ from, text, at: Date.now(), own: false });
    countUnread();
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
    if (isNews(heard)) roster.rename(from, to);
    showHeard({ parts: [{ name: from }, ' is now ', { name: to }], at: timeHeard(heard) });
  },

  joined(heard) {
    if (isNews(heard)) roster.add(heard.name);
    showHeard({ parts: [{ name: heard.name }, ' joined'], at: timeHeard(heard) });
  },

  left(heard) {
    if (isNews(heard)) roster.remove(heard.name);
    showHeard({ parts: [{ name: heard.name }, ' left'], at: timeHeard(heard) });
  },

  removed(heard) {
    if (isNews(heard)) roster.remove(heard.name);
    showHeard({ parts: [{ name: heard.name }, ' was removed'], at: timeHeard(heard) });
  },

  here: onRosterRow,
  hereMore: onRosterRow,
  hereTotal: onRosterRow,

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
  nameOwned: (heard) => onNameOwned(heard),
  tokenWrong: (heard) => onNameOwned(heard),
  tokenUnknown: (heard) => onTokenUnknown(heard),
  nameTakenOver: (heard) => onNameLost(heard),
  nameLost: (heard) => onNameLost(heard),
  nameSettled: (settled) => onNameSettled(settled),

  passwordWanted: (heard) => atGate(onPasswordWanted, heard),
  passwordWrong: (heard) => atGate(onPasswordWrong, heard),
  passwordRefused: (heard) => atGate(onPasswordOver, heard),
  passwordCrowded: (heard) => atGate(onPasswordCrowded, heard),
  passwordMissing: (heard) => atGate(onPasswordOver, heard),

  nameUnchanged({ notice, name }) {
    if (naming) named(name);
    else showNotice(notice);
  },

  tellsYou(heard) {
    showHeard({ from: heard.from, text: heard.text, at: timeHeard(heard), own: false, private: true });
    countUnread();
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
    showHeard({ parts: [text], at: isRecord ? at : 0 });
  },
};

function hear(line) {
  session.hear(line, Date.now()).forEach(act);
}

function act(event) {
  HANDLERS[event.kind](event);
}

/** Whether this tells about the room as it is now. */
function isNews({ isNews }) {
  return isNews ?? !replay;
}

/** The time of a record is that of the server. */
function timeHeard({ at }) {
  return at ?? Date.now();
}

/** A said line of a tracked room; `line` is the own one that it is the record of. */
function onRecord({ from, text, at, line, isNews, isEarlier, isOwn }) {
  const own = isOwn || (mine.has(from) && !from.startsWith('client-') && isEarlier);
  if (isNews) roster.add(from);
  if (line) showSent(Object.assign(line, { from, text }), at);
  else show({ from, text, at, own, earlier: isEarlier });
  if (!own && !isEarlier) countUnread();
}

function showSent(line, at) {
  show(Object.assign(line, { at, late: false }));
}

/** What a server says before it lets the page in means nothing later. */
function atGate(handle, heard) {
  if (session.mode === 'asking') handle(heard);
  else showNotice(heard.notice);
}

function refusedJoin(notice) {
  joinAnswered();
  showNotice(notice);
}

function onRosterRow(row) {
  if (roster.takeRow(row)) showNotice(row.notice);
}

function showNotice(text) {
  showHeard({ parts: [text] });
}
