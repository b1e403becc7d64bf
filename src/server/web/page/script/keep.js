// What the browser keeps for a reload: lines that were not sent, the session, and the end of the log. Pure.

/** Epochs of which the browser keeps the order. */
const KEPT_LOGS_MAX = 100;

const UNSENT_FIELDS = ['server', 'text', 'isCommand', 'from', 'at', 'failed'];
const LOG_FIELDS = ['from', 'text', 'at', 'own', 'private', 'earlier', 'mention', 'parts', 'move',
  'isRefusal', 'rule', 'missed'];

const pick = (line, fields) => Object.fromEntries(fields.map((field) => [field, line[field]]));

/** Returns the newest of these lines as plain data, up to a size, and how many older ones that leaves out. */
function keptLines(lines) {
  const kept = [];
  let bytes = 0;
  for (const line of lines.slice().reverse()) {
    kept.unshift(pick(line, UNSENT_FIELDS));
    bytes += bytesOf(JSON.stringify(kept[0]));
    if (bytes > KEPT_BYTES_MAX) {
      kept.shift();
      break;
    }
  }
  return { lines: kept, lost: lines.length - kept.length };
}

/** Reads what `keptLines` returned, from a store that another version of the page may have written. */
function linesKept(kept) {
  const lines = isArray(kept?.lines) ? kept.lines : [];
  const isLine = (line) => ['server', 'text', 'from', 'failed'].every((field) => isText(line?.[field])) &&
    URL.canParse(line.server) && line.text !== '' && line.failed !== '' && !line.text.includes('\n') && isInteger(line.at);
  const revived = lines.filter(isLine).map(({ server, text, isCommand, from, at, failed }) => (
    { ...(isCommand === true ? commandOrLine(text) : plainLine(text)), server, from, at, failed }));
  return { lines: revived, lost: isInteger(kept?.lost) ? kept.lost : 0 };
}

/** Returns a session as plain data, with the first of its lines up to a size, and how many that leaves out. */
function keptSession({ token, place, position, chart, name, given, isGapped, seen, heard, log, isMoving, sent, held, lost }) {
  let bytes = 0;
  const fits = (entry) => (bytes += bytesOf(JSON.stringify(entry))) <= KEPT_BYTES_MAX;
  const kept = (entries) => {
    const all = entries.map(({ n, isTaken, until, line: { text, isCommand, isQuiet, from, at, server } }) => (
      { n, isTaken, until, text, isCommand, isQuiet, from, at, server }));
    const end = all.findIndex((entry) => !fits(entry));
    return end < 0 ? all : all.slice(0, end);
  };
  // In the order in which they are to be said.
  const undecided = lost && { ...lost, entries: kept(lost.entries.map((entry) => ({ ...entry, n: 0 }))) };
  const lines = { held: kept(held.map((line) => ({ line, n: 0 }))), sent: kept(sent) };
  const left = (lost?.entries.length ?? 0) - (undecided?.entries.length ?? 0) +
    held.length - lines.held.length + sent.length - lines.sent.length;
  const logs = [...chart.logs].slice(-KEPT_LOGS_MAX);
  return { token, place, position, logs, name, given, isGapped, heard, log, isMoving, seen: [...seen], ...lines, undecided, lost: left };
}

/** Makes `session` what `keptSession` returned. Returns whether that was a session. */
function restoreSession(session, kept) {
  if (!isText(kept?.token) || !/^[A-Za-z0-9]+$/.test(kept.token) || !isText(kept.name)) return false;
  if (!isArray(kept.sent) || !isArray(kept.seen) || !(kept.place === null || isPlace(kept.place))) return false;
  const { token, place, name } = kept;
  const seen = new Map(kept.seen.filter((entry) => isArray(entry) && isInteger(entry[1])));
  const sent = entriesKept(kept.sent).map(({ n, line, until }) => ({ n, line, until }));
  const held = entriesKept(kept.held).map(({ line }) => line);
  const heard = isInteger(kept.heard) ? kept.heard : 0;
  const log = isText(kept.log) ? kept.log : '';
  // An earlier version of the page had no others.
  const position = isPlace(kept.position) ? kept.position : place && { ...place };
  assign(session, { position, chart: chartKept(kept.logs) });
  assign(session, { token, place, name, seen, sent, held, heard, log, lost: lostKept(kept.undecided) });
  assign(session, { given: isText(kept.given) ? kept.given : '', isGapped: kept.isGapped === true, isMoving: kept.isMoving === true });
  return true;
}

function chartKept(logs) {
  const chart = new Chart();
  if (!isArray(logs)) return chart;
  for (const [epoch, log] of logs.filter(Array.isArray)) {
    if (isText(epoch) && isText(log?.epoch) && isInteger(log.offset)) chart.enter(epoch, { epoch: log.epoch, offset: log.offset });
  }
  chart.isShared = [...chart.logs].some(([epoch, log]) => log.epoch !== epoch);
  return chart;
}

function lostKept(kept) {
  if (!isText(kept?.log) || !isArray(kept.names)) return null;
  const { log, isWithin, isGapped } = kept;
  return new LostLines({
    entries: entriesKept(kept.entries).map(({ line, isTaken, until }) => ({ line, isTaken, until })),
    names: kept.names.filter(isText),
    log,
    isWithin: isWithin === true,
    isGapped: isGapped === true,
  });
}

function entriesKept(kept) {
  if (!isArray(kept)) return [];
  const isLine = (line) => isInteger(line?.n) && isText(line.text) && !line.text.includes('\n') &&
    (line.isQuiet || (isText(line.from) && isInteger(line.at) && URL.canParse(line.server)));
  return kept.filter(isLine).map(({ n, isTaken, until, text, isCommand, isQuiet, from, at, server }) => {
    const line = isCommand === true ? commandOrLine(text) : plainLine(text);
    return { n, isTaken: isTaken === true, until: isPlace(until) ? until : undefined, line: { ...line, from, at, server, isQuiet: isQuiet === true } };
  });
}

const isPlace = (place) => isText(place?.epoch) && isInteger(place.number);

const isText = (text) => typeof text === 'string';

/** Returns the newest lines of the log as plain data, up to a size. */
function keptLog(lines) {
  const kept = [];
  let bytes = 0;
  for (const { failed, ...whole } of lines.slice().reverse()) {
    if (failed) continue;
    const line = pick(whole, LOG_FIELDS);
    bytes += bytesOf(JSON.stringify(line));
    if (bytes > LOG_KEPT_BYTES_MAX || kept.length === LOG_KEPT_MAX) break;
    kept.unshift(line);
  }
  return kept;
}

/** Reads what `keptLog` returned. */
function logKept(kept) {
  const isPart = (part) => isText(part) || isText(part?.name);
  const isMove = ({ move, parts }) => move === undefined ||
    (isText(parts[0]?.name) && (move !== 'renamed' || isText(parts[2]?.name)));
  const isLine = (line) => (isText(line?.text) && isText(line.from) && isInteger(line.at)) || isText(line?.rule) ||
    isText(line?.missed) || (isArray(line?.parts) && line.parts.every(isPart) && isMove(line));
  return isArray(kept) ? kept.filter(isLine) : [];
}
