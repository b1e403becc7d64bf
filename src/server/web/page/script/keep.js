// Lines that were not sent, in the form in which the browser keeps them for a reload. Pure.

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
