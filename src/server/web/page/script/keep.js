// What the browser keeps for a reload: lines that were not sent, the session, and the end of the log. Pure.

/** Epochs of which the browser keeps the order. */
const KEPT_LOGS_MAX = 100;

/** Returns the newest of these lines as plain data, up to a size, and how many older ones that leaves out. */
function keptLines(lines) {
  const kept = [];
  let bytes = 0;
  for (const { server, text, isCommand, from, at, failed } of lines.slice().reverse()) {
    const line = { server, text, isCommand, from, at, failed };
    bytes += bytesOf(JSON.stringify(line));
    if (bytes > KEPT_BYTES_MAX) break;
    kept.unshift(line);
  }
  return { lines: kept, lost: lines.length - kept.length };
}

/** Reads what `keptLines` returned, from a store that another version of the page may have written. */
function linesKept(kept) {
  const lines = Array.isArray(kept?.lines) ? kept.lines : [];
  const isLine = (line) => ['server', 'text', 'from', 'failed'].every((field) => typeof line?.[field] === 'string') &&
    URL.canParse(line.server) && line.text !== '' && line.failed !== '' && !line.text.includes('\n') && Number.isFinite(line.at);
  const revived = lines.filter(isLine).map(({ server, text, isCommand, from, at, failed }) => (
    { ...(isCommand === true ? commandOrLine(text) : plainLine(text)), server, from, at, failed }));
  return { lines: revived, lost: Number.isInteger(kept?.lost) ? kept.lost : 0 };
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
  if (!Array.isArray(kept.sent) || !Array.isArray(kept.seen) || !(kept.place === null || isPlace(kept.place))) return false;
  const { token, place, name } = kept;
  const seen = new Map(kept.seen.filter((entry) => Array.isArray(entry) && Number.isInteger(entry[1])));
  const sent = entriesKept(kept.sent).map(({ n, line, until }) => ({ n, line, until }));
  const held = entriesKept(kept.held).map(({ line }) => line);
  const heard = Number.isInteger(kept.heard) ? kept.heard : 0;
  const log = isText(kept.log) ? kept.log : '';
  // An earlier version of the page had no others.
  const position = isPlace(kept.position) ? kept.position : place && { ...place };
  Object.assign(session, { position, chart: chartKept(kept.logs) });
  Object.assign(session, { token, place, name, seen, sent, held, heard, log, lost: lostKept(kept.undecided) });
  Object.assign(session, { given: isText(kept.given) ? kept.given : '', isGapped: kept.isGapped === true, isMoving: kept.isMoving === true });
  return true;
}

function chartKept(logs) {
  const chart = new Chart();
  if (!Array.isArray(logs)) return chart;
  for (const [epoch, log] of logs.filter(Array.isArray)) {
    if (isText(epoch) && isText(log?.epoch) && Number.isInteger(log.offset)) chart.enter(epoch, { epoch: log.epoch, offset: log.offset });
  }
  chart.isShared = [...chart.logs].some(([epoch, log]) => log.epoch !== epoch);
  return chart;
}

function lostKept(kept) {
  if (!isText(kept?.log) || !Array.isArray(kept.names)) return null;
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
  if (!Array.isArray(kept)) return [];
  const isLine = (line) => Number.isInteger(line?.n) && isText(line.text) && !line.text.includes('\n') &&
    (line.isQuiet || (isText(line.from) && Number.isFinite(line.at) && URL.canParse(line.server)));
  return kept.filter(isLine).map(({ n, isTaken, until, text, isCommand, isQuiet, from, at, server }) => {
    const line = isCommand === true ? commandOrLine(text) : plainLine(text);
    return { n, isTaken: isTaken === true, until: isPlace(until) ? until : undefined, line: { ...line, from, at, server, isQuiet: isQuiet === true } };
  });
}

function isPlace(place) {
  return typeof place?.epoch === 'string' && Number.isInteger(place.number);
}

function isText(text) {
  return typeof text === 'string';
}

/** Returns the newest lines of the log as plain data, up to a size. */
function keptLog(lines) {
  const kept = [];
  let bytes = 0;
  for (const { from, text, at, own, private: isPrivate, earlier, parts, rule, missed, failed } of lines.slice().reverse()) {
    if (failed) continue;
    const line = { from, text, at, own, private: isPrivate, earlier, parts, rule, missed };
    bytes += bytesOf(JSON.stringify(line));
    if (bytes > LOG_KEPT_BYTES_MAX || kept.length === LOG_KEPT_MAX) break;
    kept.unshift(line);
  }
  return kept;
}

/** Reads what `keptLog` returned. */
function logKept(kept) {
  const isPart = (part) => isText(part) || isText(part?.name);
  const isLine = (line) => (isText(line?.text) && isText(line.from) && Number.isFinite(line.at)) || isText(line?.rule) ||
    isText(line?.missed) || (Array.isArray(line?.parts) && line.parts.every(isPart));
  return Array.isArray(kept) ? kept.filter(isLine) : [];
}
