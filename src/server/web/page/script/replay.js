// Which lines of a replayed history the page shows already. Pure.

/**
 * Returns the replayed lines that are new to the page. `recent` are the lines that it showed last. Lines of others are
 * known by their order; own lines by `isOwnKnown`, as the page shows them before the server orders them.
 */
function unseenLines(recent, replayed, isOwnKnown) {
  let known = overlap(recent.filter(isFromOther), replayed.filter(isFromOther));
  return replayed.filter((line) => {
    const isKnown = (line.own && isOwnKnown(line.text)) || known > 0;
    if (isFromOther(line)) known -= 1;
    return !isKnown;
  });
}

const isFromOther = ({ text, own }) => text !== undefined && !own;

/** The largest n for which the last n lines of `before` are the first n of `after`. */
function overlap(before, after) {
  for (let n = Math.min(before.length, after.length); n > 0; n -= 1) {
    const end = before.slice(-n);
    if (end.every(({ from, text }, at) => from === after[at].from && text === after[at].text)) return n;
  }
  return 0;
}
