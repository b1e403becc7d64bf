// What the page does with each line of the server.

const HANDLERS = {
  // The Close frame that follows a farewell tells the reason.
  farewell() {},

  said({ from, text }) {
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

  earlier: ({ lines }) => beginReplay(lines),

  missed({ notice, lines }) {
    if (replay) missedInReplay(lines);
    showHeard({ missed: notice.replace('you', 'You') });
  },

  renamed({ from, to }) {
    if (from === me) named(to);
    if (!replay) roster.rename(from, to);
    showHeard({ parts: [{ name: from }, ' is now ', { name: to }], at: Date.now() });
  },

  joined({ name }) {
    if (!replay) roster.add(name);
    showHeard({ parts: [{ name }, ' joined'], at: Date.now() });
  },

  left({ name }) {
    if (!replay) roster.remove(name);
    showHeard({ parts: [{ name }, ' left'], at: Date.now() });
  },

  here: onRosterRow,
  hereMore: onRosterRow,
  hereTotal: onRosterRow,

  inRoom: (heard) => enterRoom(heard),

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

  nameUnchanged({ notice, name }) {
    if (naming) named(name);
    else showNotice(notice);
  },

  tellsYou({ from, text }) {
    showHeard({ from, text, at: Date.now(), own: false, private: true });
    countUnread();
  },

  youTold: ({ to, text }) => showHeard({ from: to, text, at: Date.now(), own: true, private: true }),

  tooLong({ notice, bytes }) {
    takeBackLongest(bytes);
    showNotice(notice);
  },

  // In the page, only a command leaves.
  other: ({ notice }) => showNotice(notice.replace(/^FIN, exit or (\/quit: leave)$/, '$1 (FIN, exit are words here)')),
};

function hear(line) {
  const heard = readLine(line);
  HANDLERS[heard.kind](heard);
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
