// The clipboard: what is selected in the log is copied as lines, `<name> text`.

const lineOf = new WeakMap();  // the lines of the elements of the log

/** A line as text. */
function plainTextOf({ from, text, parts, rule, missed }) {
  if (text !== undefined) return `<${from}> ${text}`;
  return `* ${(parts ?? [rule ?? missed]).map((part) => part.name ?? part).join('')}`;
}

/** Copies a text. Returns whether that was possible: without TLS, only an old way is. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { /* The old way. */ }
  const focused = document.activeElement;
  const field = make('textarea', 'unseen', text);
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand('copy');
  field.remove();
  focused?.focus();
  return isCopied;
}

on(document, 'copy', (event) => {
  const selection = getSelection();
  if (selection.rangeCount === 0 || event.target.closest?.('input, textarea')) return;
  const range = selection.getRangeAt(0);
  const node = range.commonAncestorContainer;
  const inside = node.closest ? node : node.parentElement;
  if (!log.contains(inside) || inside.closest('.text')) return;
  const block = inside.closest('.code .lines');
  const elements = log.querySelectorAll('.said, .note, .rule');
  // Three clicks on a line select up to the beginning of the next one.
  const isNext = (element) => range.endOffset === 0 && element.contains(range.endContainer);
  const chosen = Array.from(elements).filter((element) => range.intersectsNode(element) && !isNext(element));
  const lines = chosen.map((element) => lineOf.get(element)).filter((line) => line);
  if (lines.length === 0) return;
  const isWords = block || (lines.length === 1 && lines[0].text);
  event.clipboardData.setData('text/plain', isWords ? codeOf(lines) : lines.map(plainTextOf).join('\n'));
  event.preventDefault();
});
