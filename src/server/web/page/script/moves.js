// Joins and leaves in a row, as a sentence. Pure.

/** Returns who came and who left. A move is `{ move, parts }`, as in line.js. */
function summaryOf(moves) {
  const [came, left, passed, renamed] = [new Set(), new Set(), new Set(), []];
  for (const { move, parts: [{ name }, , to] } of moves) {
    if (move === 'joined') {
      left.delete(name);
      came.add(name);
    } else if (move === 'renamed') {
      if (came.delete(name)) came.add(to.name);
      else renamed.push([name, to.name]);
    } else if (came.delete(name)) {
      passed.add(name);
    } else {
      left.add(name);
    }
  }
  const told = [[came, 'came'], [left, 'left'], [passed, 'came and left']].filter(([names]) => names.size > 0);
  const sentences = told.map(([names, does]) => `${listed([...names].map(isolate))} ${does}`);
  // A client that comes is perhaps told its own new name before the others are told that it came.
  const others = renamed.filter(([, to]) => !came.has(to));
  if (others.length === 1) sentences.push(others[0].map(isolate).join(' is now '));
  else if (others.length > 1) sentences.push(`${others.length} have other names`);
  return sentences.join(', ');
}

/** `Ben`, `Ben and Carl`, `Ben, Carl and Dora`, `Ben, Carl and 2 others`. */
function listed(names) {
  const shown = names.length > 3 ? [...names.slice(0, 2), `${count(names.length - 2, 'other')}`] : names;
  return shown.length < 2 ? shown.join() : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`;
}

/** A name that runs from right to left must not reorder the text beside it. */
const isolate = (name) => `\u2068${name}\u2069`;
