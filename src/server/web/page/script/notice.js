// The lines of the server, as the page reads them. Pure.

/** The notices that the page acts on, without their `* ` or `** `. The first pattern that matches decides. */
const NOTICES = {
  banned: /^you are banned(?:$|:| until )/,
  welcome: /^you are (?<name>\S+); /,
  placed: /^you are (?<name>\S+), in (?<room>\S+)$/,
  resumed: /^resumed$/,
  cannotResume: /^cannot resume: earlier lines follow$/,
  elsewhere: /^this session goes on elsewhere$/,
  handedOver: /^the server is shutting down and keeps your session$/,
  earlier: /^(?<lines>[\d,]+) earlier lines?:$/,
  missed: /^you missed (?<lines>[\d,]+) lines?$/,
  renamed: /^(?<from>\S+) is now (?<to>\S+)$/,
  joined: /^(?<name>\S+) joined$/,
  left: /^(?<name>\S+) left$/,
  removed: /^(?<name>\S+) was removed$/,
  here: /^here: (?<name>\S+), .*$/,
  hereMore: /^and (?<clients>[\d,]+) more$/,
  hereFound: /^(?<found>[\d,]+) of (?<clients>[\d,]+) here$/,
  roomHere: /^room: (?<room>\S+), (?<clients>[\d,]+) here$/,
  roomsTotal: /^(?<clients>[\d,]+) rooms?$/,
  hereTotal: /^(?<clients>[\d,]+) here$/,
  inRoom: /^you are in (?<room>\S+), (?:alone|with [\d,]+ others?)$/,
  inRoomAlready: /^you are in (?<room>\S+) already$/,
  roomsFull: /^there are [\d,]+ rooms? already$/,
  joinRefused: /^(?:\S+ looks like \S+$|(?:\/join NAME: )?the name of a room is |there is no command \/join; )/i,
  nameTaken: /^the name (?<name>\S+) is taken$/,
  nameMalformed: /^a name is 1 to .*/,
  nameOwned: /^the name (?<name>\S+) belongs to somebody: /,
  nameLookalike: /^(?<name>\S+) looks like (?<owned>\S+), which belongs to somebody$/,
  tokenWrong: /^that is not the token of (?<name>\S+)$/,
  tokenUnknown: /^(?<name>\S+) belongs to nobody: /,
  nameTakenOver: /^you are here a second time: this one is (?<name>\S+) now$/,
  nameLost: /^the name (?<owned>\S+) belongs to somebody now: you are (?<name>\S+)$/,
  nameUnchanged: /^you are (?<name>\S+) already$/,
  tellsYou: /^(?<from>\S+) tells you: (?<text>.*)$/s,
  youTold: /^you told (?<to>\S+): (?<text>.*)$/s,
  passwordWanted: /^this server asks for a password: /,
  passwordWrong: /^that is not the password$/,
  passwordRefused: /^that is not the password either: /,
  passwordCrowded: /^too many wrong passwords from your address: /,
  passwordMissing: /^you have not given the password: /,
  tooLong: /^line too long \(over (?<bytes>[\d,]+) bytes\).*/,
};

/** The fields that are numbers, which the server may group with commas. */
const NUMBERS = ['lines', 'clients', 'bytes', 'found'];

/**
 * Reads a line: `{ kind: 'said', from, text }`, `{ kind: 'farewell' }` or a notice. To a tracked page, private notices
 * begin with `** `.
 */
function readLine(line) {
  if (line === 'FIN') return { kind: 'farewell' };
  if (line.startsWith('** ')) return readNotice(line.slice(3));
  if (line.startsWith('* ')) return readNotice(line.slice(2));
  const mark = line.indexOf('> ');
  if (mark < 0) return { kind: 'other', notice: line };
  return { kind: 'said', from: line.slice(0, mark), text: line.slice(mark + 2) };
}

/** Whether the server gave this name: nobody can ask for it. */
const isGiven = (name) => /^client-\d+$/.test(name);

/** Reads a notice: its kind, its whole text and its fields. A notice without a pattern is of the kind `other`. */
function readNotice(notice) {
  for (const [kind, pattern] of Object.entries(NOTICES)) {
    const match = pattern.exec(notice);
    if (!match) continue;
    const fields = { ...match.groups };
    for (const field of NUMBERS) if (field in fields) fields[field] = Number(fields[field].replaceAll(',', ''));
    return { kind, notice, ...fields };
  }
  return { kind: 'other', notice };
}
