// Loads parts of a page's script into a scope of their own, as the page does, but without a document. The chat page has
// a file for each part. The page of the game is one file: a comment like `// Flight: …` begins a section of its script.

import { readFileSync, readdirSync } from 'node:fs';

const web = new URL('../../../src/server/web/', import.meta.url);
const script = new URL('page/script/', web);

/** The pages, the chat and the game: for each, its parts by name. */
const PARTS = {
  page: new Map(readdirSync(script).map((file) => [file, readFileSync(new URL(file, script), 'utf8')])),
  bombards: sectionsOf(readFileSync(new URL('bombards.html', web), 'utf8')),
};

export const PAGES = Object.keys(PARTS);

function sectionsOf(html) {
  const [, all] = /^<script>\n(.*)^<\/script>$/ms.exec(html);
  const [, ...sections] = all.split(/^(?=\/\/ \w+: )/m);
  return new Map(sections.map((section) => [/\w+/.exec(section)[0], section]));
}

/** The source of a part of a page's script. */
export function sourceOf(part, page = 'page') {
  return PARTS[page].get(part);
}

/** The names of all parts of a page's script. */
export function scriptFiles(page) {
  return [...PARTS[page].keys()];
}

/** Evaluates files in order, and returns the values of these names. `stubs` declares what the files use of others. */
export function load(files, names, stubs = '', page = 'page') {
  const source = [...files.map((file) => sourceOf(file, page)), stubs].join('');
  return new Function(`'use strict';\n${source}\n${idle(source)}\nreturn { ${names.join(', ')} };`)();
}

/** Declares the handlers of the server's lines that are in files which are not loaded: they do nothing. */
function idle(source) {
  const table = /^const HANDLERS = \{$.*?^\};$/ms.exec(source)?.[0] ?? '';
  const used = new Set(Array.from(table.matchAll(/^  \w+: (?:atGate\()?(\w+)\)?,$/gm), ([, name]) => name));
  return [...used].filter((name) => !source.includes(`function ${name}(`)).map((name) => `function ${name}() {}`).join('\n');
}
