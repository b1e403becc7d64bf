// What the browser keeps for a reload: lines that were not sent, the session, and the end of the log. Pure.

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

/** Returns a session as plain data, with the first of its lines under way up to a size, and how many that leaves out. */
function keptSession({ token, place, name, isGapped, seen, sent }) {
  const lines = [];
  let bytes = 0;
  for (const { n, line: { text, isCommand, isQuiet, from, at, server } } of sent) {
    const entry = { n, text, isCommand, isQuiet, from, at, server };
    bytes += bytesOf(JSON.stringify(entry));
    if (bytes > KEPT_BYTES_MAX) break;
    lines.push(entry);
  }
  return { token, place, name, isGapped, seen: [...seen], sent: lines, lost: sent.length - lines.length };
}

/** Makes `session` what `keptSession` returned. Returns whether that was a session. */
function restoreSession(session, kept) {
  const isPlace = (place) => typeof place?.epoch === 'string' && Number.isInteger(place.number);
  const isText = (text) => typeof text === 'string';
  if (!isText(kept?.token) || !/^[A-Za-z0-9]+$/.test(kept.token) || !isText(kept.name)) return false;
  if (!Array.isArray(kept.sent) || !Array.isArray(kept.seen) || !(kept.place === null || isPlace(kept.place))) return false;
  const { token, place, name } = kept;
  const isLine = (line) => Number.isInteger(line?.n) && isText(line.text) && !line.text.includes('\n') &&
    (line.isQuiet || (isText(line.from) && Number.isFinite(line.at) && URL.canParse(line.server)));
  const sent = kept.sent.filter(isLine).map(({ n, text, isCommand, isQuiet, from, at, server }) => {
    const line = isCommand === true ? commandOrLine(text) : plainLine(text);
    return { n, line: { ...line, from, at, server, isQuiet: isQuiet === true } };
  });
  const seen = new Map(kept.seen.filter((entry) => Array.isArray(entry) && Number.isInteger(entry[1])));
  Object.assign(session, { token, place, name, isGapped: kept.isGapped === true, seen, sent });
  return true;
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
  const isText = (text) => typeof text === 'string';
  const isPart = (part) => isText(part) || isText(part?.name);
  const isLine = (line) => (isText(line?.text) && isText(line.from) && Number.isFinite(line.at)) || isText(line?.rule) ||
    isText(line?.missed) || (Array.isArray(line?.parts) && line.parts.every(isPart));
  return Array.isArray(kept) ? kept.filter(isLine) : [];
}
