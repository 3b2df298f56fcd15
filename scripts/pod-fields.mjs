#!/usr/bin/env node
// Compares docs/reference/pod-fields.md with the API's own definitions and with the tests that it names.
//
//   node scripts/pod-fields.mjs                exit 1 and a line per offence
//   node scripts/pod-fields.mjs --find FIELD   the tests in whose text the field is, as footnotes
//
// Every field of the types below has one row, and no other has. A cell that says that a field has its effect names a test by a footnote; that test has to
// exist, and the field's name has to stand in it: a test that was renamed, or that never set the field, is an offence. That it checks the effect, too, no
// script can see.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { root } from "./bundle.mjs";

/** Each a section of the page. An init container is a Container. */
export const types = [
  "PodSpec",
  "Container",
  "PodSecurityContext",
  "SecurityContext",
  "Volume",
  "VolumeMount",
  "VolumeProjection",
  "EnvVarSource",
  "EnvFromSource",
  "Probe",
  "Lifecycle",
  "LifecycleHandler",
  "ContainerPort",
];
/** A column each: how containers run. */
export const ways = ["process", "sandbox", "docker"];
/** What a cell may say. Those with `true` need a test. */
const words = { yes: true, partly: true, refused: true, core: false, passed: false, no: false, "-": false };

export function fieldsOf(type, definitions = readDefinitions()) {
  return Object.keys(definitions[`io.k8s.api.core.v1.${type}`]?.properties ?? {});
}

function readDefinitions() {
  return JSON.parse(readFileSync(join(root, "src/kube/generated/definitions.json"), "utf8")).definitions;
}

/**
 * @param {string} text of the page
 * @returns {{ rows: { type: string, field: string, cells: string[], line: number }[], notes: Map<string, { file: string, title: string }> }}
 */
export function parsePage(text) {
  const rows = [];
  const notes = new Map();
  let type;
  for (const [index, line] of text.split("\n").entries()) {
    const heading = /^## (\w+)/.exec(line);
    if (heading) type = heading[1];
    const row = /^\| `(\w+)` \|(.*)\|$/.exec(line);
    if (row && types.includes(type)) {
      const cells = row[2].split("|").map((cell) => cell.trim());
      rows.push({ type, field: row[1], cells, line: index + 1 });
    }
    const note = /^\[\^(\w+)\]: `([^`]+)`: (.+)$/.exec(line);
    if (note) notes.set(note[1], { file: note[2], title: note[3] });
  }
  return { rows, notes };
}

/**
 * The text of a test: from the line that has its title to the end of that statement, or of that row of a table of cases, which is the next line
 * that is indented no deeper.
 * @returns undefined where there is no such title
 */
export function testText(source, title) {
  const lines = source.split("\n");
  const quoted = [JSON.stringify(title), `'${title}'`, `\`${title}\``];
  const start = lines.findIndex((line) => quoted.some((text) => line.includes(text)));
  if (start < 0) return undefined;
  const depth = lines[start].search(/\S/);
  // `test(` stands alone on a line where the title is too long for it.
  const from = start > 0 && /^\s*(test|it)(\.\w+)*\($|^\s*\[$/.test(lines[start - 1]) ? start - 1 : start;
  const least = Math.min(depth, lines[from].search(/\S/));
  let end = start + 1;
  const complete = (line) => /[;,]$/.test(line) && !/[{[(]\s*$/.test(line);
  if (!complete(lines[start]) || from < start) {
    while (end < lines.length && (lines[end].trim() === "" || lines[end].search(/\S/) > least)) end++;
    end++;
  }
  return lines.slice(from, end).join("\n");
}

/** @returns {string[]} a line for each offence; none: all is well */
export function offences(
  text,
  read = (file) => readFileSync(join(root, file), "utf8"),
  definitions = readDefinitions(),
) {
  const { rows, notes } = parsePage(text);
  const found = [];
  for (const type of types) {
    const fields = fieldsOf(type, definitions);
    const here = rows.filter((row) => row.type === type).map(({ field }) => field);
    for (const field of fields) {
      const count = here.filter((name) => name === field).length;
      if (count !== 1) found.push(`${type}.${field}: ${count === 0 ? "has no row" : "has several rows"}`);
    }
    for (const field of here) if (!fields.includes(field)) found.push(`${type}.${field}: there is no such field`);
  }
  const used = new Set();
  for (const { type, field, cells, line } of rows) {
    const where = `line ${line}, ${type}.${field}`;
    if (cells.length !== ways.length + 1) found.push(`${where}: has ${cells.length} cells, not ${ways.length + 1}`);
    for (const [index, way] of ways.entries()) {
      const cell = /^(\w+|-)((?:\[\^\w+\])*)$/.exec(cells[index] ?? "");
      if (!cell || !(cell[1] in words)) {
        found.push(`${where}, ${way}: says "${cells[index]}", not one of ${Object.keys(words).join(", ")}`);
        continue;
      }
      const ids = [...cell[2].matchAll(/\[\^(\w+)\]/g)].map((match) => match[1]);
      if (words[cell[1]] && ids.length === 0) found.push(`${where}, ${way}: names no test`);
      for (const id of ids) {
        used.add(id);
        const note = notes.get(id);
        const problem = note ? problemOf(note, field, read) : "there is no such footnote";
        if (problem) found.push(`${where}, ${way}: [^${id}]: ${problem}`);
      }
    }
  }
  for (const id of notes.keys()) if (!used.has(id)) found.push(`[^${id}]: no row needs it`);
  return found;
}

function problemOf({ file, title }, field, read) {
  let source;
  try {
    source = read(file);
  } catch {
    return `there is no file ${file}`;
  }
  const text = testText(source, title);
  if (text === undefined) return `${file} has no test "${title}"`;
  // To be named in the title is not to be set.
  return new RegExp(`\\b${field}\\b`).test(text.replace(title, ""))
    ? undefined
    : `the test "${title}" does not say ${field}`;
}

function find(field) {
  const files = ["src", "test"]
    .flatMap((dir) => readdirSync(join(root, dir), { recursive: true }).map((file) => join(root, dir, file)))
    .filter((file) => file.endsWith(".test.ts"));
  for (const file of files.sort()) {
    const source = readFileSync(file, "utf8");
    const titles = [
      ...source.matchAll(/\b(?:test|it)\(\s*"((?:[^"\\]|\\.)*)"/g),
      ...source.matchAll(/^\s+"((?:[^"\\]|\\.)*)": \[/gm),
    ];
    for (const [, title] of titles) {
      const plain = JSON.parse(`"${title}"`);
      if (new RegExp(`\\b${field}\\b`).test(testText(source, plain) ?? ""))
        console.log(`\`${relative(root, file)}\`: ${plain}`);
    }
  }
}

if (import.meta.filename === process.argv[1]) {
  if (process.argv[2] === "--find") find(process.argv[3]);
  else {
    const lines = offences(readFileSync(join(root, "docs/reference/pod-fields.md"), "utf8"));
    for (const line of lines) console.error(line);
    process.exitCode = lines.length > 0 ? 1 : 0;
  }
}
