// The names whose lines this tab does not show. The server knows nothing of it.

let ignored = [];              // names, as they were typed or as their owners changed them

const isIgnored = (name) => ignored.some((other) => isSameName(other, name));

function restoreIgnored(kept) {
  if (isArray(kept)) ignored = kept.filter(isText);
}

/** Whether a line is of an ignored name: said, told in private, or about its coming and going. */
const isHushed = ({ from, own, move, parts }) =>
  ignored.length > 0 && !own && isIgnored(move ? parts[0].name : from ?? '');

/** A client that is ignored and takes another name is the same client. */
function followIgnored(from, to) {
  if (isIgnored(from) && !isIgnored(to)) ignored.push(to);
}

/** Obeys `/ignore` and `/unignore`. Returns whether the text was one of them. */
function obeyIgnore(text) {
  const { un, name } = /^\/(?<un>un)?ignore(?:[ \t]+(?<name>\S+))?[ \t]*$/i.exec(text)?.groups ?? {};
  if (name === undefined && !/^\/(?:un)?ignore[ \t]*$/i.test(text)) return false;
  if (name) {
    ignored = ignored.filter((other) => !isSameName(other, name));
    if (!un) ignored.push(name);
    showAnswer(un ? `the lines of ${isolate(name)} are shown again` :
      `the lines of ${isolate(name)} are hidden in this tab: /unignore ${name} shows them`);
  } else {
    showAnswer(ignored.length ? `hidden in this tab: ${ignored.map(isolate).join(', ')}` :
      'no name is hidden: /ignore NAME hides its lines');
  }
  storeTab();
  return true;
}
