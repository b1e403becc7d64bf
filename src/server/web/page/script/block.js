// Blocks: elements of the log that hold several lines. A block of code holds pasted lines of one client, and a fold
// holds joins and leaves. Lines in them count as others do.

let pasted = [];               // the lines of one client that came at once, the last of them above the next line
let code = null;               // { body, lines, isFenced } of the block that the next line may belong to
let fold = null;               // { lines, first, body, summary } of the moves above the next line
let innerLines = 0;            // lines in blocks, but for the first of each

/** Adds a line at the end of `fragment`, or to the block above it. `before` is the line above. */
function place(fragment, line, before) {
  const element = render(line);
  if (line.move) return placeMove(fragment, line, element, before);
  const isFurther = line.more && (code?.isFenced || line.at - before.at <= PASTED_WITHIN);
  if (!isFurther || pasted.length >= BLOCK_LINES_MAX || code?.isFenced === false) {
    pasted = [];
    code = null;
  }
  if (line.text === undefined) return fragment.append(element);
  pasted.push(line);
  const fences = isFence(line.text);
  if (code) {
    code.body.append(element);
    code.lines.push(line);
    innerLines += 1;
    if (fences && code.isFenced) code.isFenced = false;
  } else if (fences || (pasted.length > 1 && pasted.some(({ text }) => isIndented(text)))) {
    beginCode(fragment, fences ? [line] : pasted.slice(), fences);
  } else {
    fragment.append(element);
  }
  if (fences) element.classList.add('fence');
}

function beginCode(fragment, lines, isFenced) {
  const [{ element: first }] = lines;
  const head = make('p', 'by', ...Array.from(first.children).slice(0, 2).map((child) => child.cloneNode(true)));
  const body = make('div', 'lines');
  assign(body, { tabIndex: 0, role: 'group', ariaLabel: `Code of ${lines[0].from}` });
  const copy = make('button', 'copy', 'Copy');
  const block = make('div', 'code', ...(lines[0].more ? [] : [head]), body, copy);
  block.classList.add(...['own', 'private'].filter((flag) => lines[0][flag]));
  if (first.parentNode) first.replaceWith(block);
  else fragment.append(block);
  body.append(...lines.map(({ element }) => element));
  innerLines += lines.length - 1;
  code = { body, lines, isFenced: isFenced || undefined };
  on(copy, 'click', async () => { copy.textContent = await copyText(codeOf(lines)) ? 'Copied' : 'Not copied' });
}

/** The text of lines of code, without the marks around it. */
const codeOf = (lines) => lines.map(({ text }) => text).filter((text) => !isFence(text)).map((text) => (isWritten(text) ? text : '')).join('\n');

function placeMove(fragment, line, element, before) {
  pasted = [];
  code = null;
  if (!fold || before !== fold.lines.at(-1) || fold.lines.length >= BLOCK_LINES_MAX || !fold.first.parentNode) {
    fold = { lines: [line], first: element, body: null };
    return fragment.append(element);
  }
  fold.lines.push(line);
  innerLines += 1;
  if (!fold.body) {
    fold.body = make('div', 'lines');
    fold.summary = make('summary', '');
    fold.first.replaceWith(make('details', 'fold move', fold.summary, fold.body));
    fold.body.append(fold.first);
  }
  fold.summary.textContent = summaryOf(fold.lines);
  fold.body.append(element);
}

/** Removes the first line below `note`, perhaps out of a block. */
function removeLineBelow(note) {
  const first = note.nextElementSibling;
  const lines = first.querySelector(':scope > .lines');
  if (!(lines?.childElementCount > 1)) return first.remove();
  lines.firstElementChild.remove();
  innerLines -= 1;
}
