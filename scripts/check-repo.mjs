#!/usr/bin/env node
// What the files that git tracks must keep to, apart from their contents' own tools. Exit 1 and a line per offence.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { root } from "./bundle.mjs";

const longestSource = 600;
const registryHost =
  /\b(?:registry\.npm|registry\.yarn|files\.pythonhosted|pypi\.org\/simple|deb\.debian|proxy\.golang|static\.crates)/;

/** @returns {string[]} source files that hold more than one concern, by their length */
export function tooLong(file, text) {
  if (!/^src\/.*\.ts$/.test(file) || /\.gen\.ts$/.test(file)) return [];
  const lines = text.split("\n").length - 1;
  return lines > longestSource ? [`${file}: ${lines} lines; at most ${longestSource}`] : [];
}

/** @returns {string[]} lines that only hold on one machine, or name where a package was fetched from */
export function ofThisMachine(file, text, machinePaths) {
  return text.split("\n").flatMap((line, i) => {
    const path = machinePaths.find((p) => line.includes(p));
    if (path) return [`${file}:${i + 1}: names ${path}, which is a path of this machine`];
    return registryHost.test(line) ? [`${file}:${i + 1}: names the host of a package registry`] : [];
  });
}

/** As GitHub makes a heading's anchor. */
const anchor = (heading) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .trim()
    .replaceAll(" ", "-");

const withoutCode = (markdown) => markdown.replace(/^(```|~~~)[\s\S]*?^\1/gm, "");

/** @returns {Set<string>} the anchors that the headings (and `<a id>`) of a page give */
function anchors(markdown) {
  const text = withoutCode(markdown);
  const headings = [...text.matchAll(/^#+ +(.*?)\s*$/gm)].map((m) => anchor(m[1].replaceAll("`", "")));
  return new Set([...headings, ...[...text.matchAll(/<a (?:id|name)="([^"]+)"/g)].map((m) => m[1])]);
}

/** @returns {string[]} the links of a page, but for those to the web */
function linksOf(markdown) {
  const links = withoutCode(markdown)
    .replace(/`[^`\n]*`/g, "")
    .matchAll(/\]\(([^)\s]+)\)/g);
  return [...links].map((m) => m[1]).filter((target) => !/^[a-z][a-z0-9+.-]*:/i.test(target));
}

/** @returns {string[]} pages in docs/ that no other page leads to */
export function orphans(pages) {
  const linked = new Set();
  for (const [file, text] of pages) {
    for (const target of linksOf(text)) linked.add(join(dirname(file), target.split("#")[0]));
  }
  return [...pages.keys()]
    .filter((file) => file.startsWith("docs/") && !linked.has(file))
    .map((file) => `${file}: no page links to it; docs/README.md or docs/decisions/0001 should`);
}

/** @returns {string[]} relative links of a page that lead nowhere */
export function deadLinks(dir, file, text) {
  return linksOf(text).flatMap((target) => {
    const [path, fragment] = decodeURI(target).split("#");
    const page = path ? resolve(dir, dirname(file), path) : join(dir, file);
    if (relative(dir, page).startsWith("..")) return [`${file}: link ${target} leaves the repository`];
    if (!existsSync(page)) return [`${file}: link ${target} leads nowhere`];
    if (!fragment || !page.endsWith(".md") || anchors(readFileSync(page, "utf8")).has(fragment)) return [];
    return [`${file}: link ${target}: no heading gives #${fragment}`];
  });
}

/** node_modules/a/node_modules/@b/c -> @b/c */
const packageName = (path) => path.split("node_modules/").at(-1);

/**
 * Every dependency has an exact version and a line in the record of dependencies that has its name and this version;
 * nothing has an install script but what package.json denies it (and works without).
 * @returns {string[]}
 */
export function dependencyOffences(manifest, lock, record) {
  const all = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
  const lines = record.split("\n");
  return [
    ...all.filter(([, v]) => !/^\d+\.\d+\.\d+$/.test(v)).map(([n, v]) => `package.json: ${n} ${v} is no exact version`),
    ...all
      .filter(([n, v]) => !lines.some((line) => line.includes(`\`${n}\``) && line.includes(v)))
      .map(([n, v]) => `docs/decisions/dependencies.md: no line for ${n} ${v}`),
    ...Object.entries(lock.packages)
      .filter(([path, p]) => p.hasInstallScript && !p.optional && manifest.allowScripts?.[packageName(path)] !== false)
      .map(([path]) => `package-lock.json: ${path} has an install script`),
    ...Object.entries(lock.packages)
      .filter(([, p]) => p.resolved?.startsWith("http"))
      .map(([path]) => `package-lock.json: ${path} says where it was fetched from; .npmrc turns this off`),
  ];
}

function repoOffences() {
  const tracked = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" }).split("\0");
  // /root is no secret of any machine, and some pages have to name it.
  const machinePaths = [`${homedir()}/`, root].filter((path) => path !== "/root/" && path.length > 2);
  const read = (file) => readFileSync(join(root, file), "utf8");
  const files = tracked.filter((file) => file && existsSync(join(root, file)) && !file.startsWith("shim/bin/"));
  return files
    .flatMap((file) => {
      const text = read(file);
      const links = file.endsWith(".md") ? deadLinks(root, file, text) : [];
      return [...tooLong(file, text), ...ofThisMachine(file, text, machinePaths), ...links];
    })
    .concat(orphans(new Map(files.filter((file) => file.endsWith(".md")).map((file) => [file, read(file)]))))
    .concat(
      dependencyOffences(
        JSON.parse(read("package.json")),
        JSON.parse(read("package-lock.json")),
        read("docs/decisions/dependencies.md"),
      ),
    );
}

if (import.meta.filename === process.argv[1]) {
  const lines = repoOffences();
  for (const line of lines) console.error(line);
  console.log(`${lines.length} offences against the rules of the repository`);
  process.exitCode = lines.length > 0 ? 1 : 0;
}
