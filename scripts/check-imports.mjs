#!/usr/bin/env node
// Imports point one way (docs/decisions/0005-imports-point-one-way.md), and no file is part of a cycle.
//
//   node scripts/check-imports.mjs [DIR]    DIR: where the layers are, default src/; exit 1 and a line per offence
//
// Type-only imports count: they are what makes one part know another. Tests (`*.test.ts`, and what helps them in `testing/`)
// may import what they like, and nothing else may import them. Generated files are left out.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { root } from "./bundle.mjs";

/** From the top down. A layer may import what is in a later line, and its neighbours in its own line as long as no cycle comes of it. */
const order = [
  ["cli"],
  ["node", "server", "devcluster", "hostpipe", "pilot"],
  ["providers", "interlink"],
  ["kubelet"],
  ["runtimes"],
  ["config", "manifest", "kube", "telemetry"],
  ["pki"],
  ["errors.ts", "clock.ts", "removeTree.ts"],
];
/** Tighter than their place in the order. */
const onlyThese = { devcluster: ["config", "kube", "telemetry", "pki", "errors.ts", "clock.ts"] };

// A statement begins in the first column, as the formatter leaves it; what looks like one inside a template does not.
const statement = /^(?:import|export)\b(?:[^"';`]*?\bfrom)?\s*["']([^"']+)["']/gm;
const call = /\bimport\(\s*["']([^"']+)["']/g;
const comment = /^\s*(?:\/\/.*|\/\*[\s\S]*?\*\/)$/gm;

/** @returns {string[]} the specifiers that the source text names, in order */
export function specifiers(text) {
  const code = text.replace(comment, "");
  return [...code.matchAll(statement), ...code.matchAll(call)].map((m) => m[1]);
}

const isTest = (file) => /\.test\.ts$|(^|\/)testing\//.test(file);
const exempt = (file) => isTest(file) || file.endsWith(".gen.ts");

/** @returns {Map<string, string[]>} each file under `dir` with the files of `dir` that it imports, all relative to `dir` */
export function importGraph(dir) {
  const files = readdirSync(dir, { recursive: true }).filter((file) => file.endsWith(".ts") && !exempt(file));
  const graph = new Map();
  for (const file of files.sort()) {
    const found = specifiers(readFileSync(join(dir, file), "utf8")).filter((s) => s.startsWith("."));
    const targets = found.map((s) => relative(dir, resolve(dir, dirname(file), s)));
    graph.set(file, [...new Set(targets)]);
  }
  return graph;
}

const layerOf = (file) => file.split("/")[0];
const rankOf = (layer) => order.findIndex((line) => line.includes(layer));

function directionOffence(from, to) {
  if (isTest(to)) return `${from} -> ${to}: is for tests alone`;
  const [a, b] = [layerOf(from), layerOf(to)];
  if (a === b) return undefined;
  if (rankOf(a) < 0) return `${from}: ${a} has no place in the order of layers`;
  if (rankOf(b) < 0) return `${from} -> ${to}: ${b} has no place in the order of layers`;
  if (rankOf(b) < rankOf(a)) return `${from} -> ${to}: ${a} stands below ${b}`;
  if (onlyThese[a] && !onlyThese[a].includes(b))
    return `${from} -> ${to}: ${a} may import only ${onlyThese[a].join(", ")}`;
  return undefined;
}

/** @returns {string[][]} cycles, each as its nodes with the first one again at the end; none is given twice */
export function cycles(graph) {
  const found = [];
  const done = new Set();
  const visit = (node, path) => {
    const at = path.indexOf(node);
    if (at >= 0) return void found.push([...path.slice(at), node]);
    if (done.has(node)) return;
    for (const next of graph.get(node) ?? []) visit(next, [...path, node]);
    done.add(node);
  };
  for (const node of graph.keys()) visit(node, []);
  return found;
}

/** The graph of layers, without the edges inside one. */
function layers(graph) {
  const merged = new Map();
  for (const [file, targets] of graph) {
    const others = targets.map(layerOf).filter((layer) => layer !== layerOf(file));
    merged.set(layerOf(file), [...new Set([...(merged.get(layerOf(file)) ?? []), ...others])]);
  }
  return merged;
}

/** @returns {string[]} a line for each offence; none: all is well */
export function offences(dir) {
  const graph = importGraph(dir);
  const edges = [...graph].flatMap(([from, targets]) => targets.map((to) => [from, to]));
  const fileCycles = cycles(graph);
  return [
    ...edges.filter(([, to]) => !existsSync(join(dir, to))).map(([from, to]) => `${from} -> ${to}: no such file`),
    ...edges.map(([from, to]) => directionOffence(from, to)).filter((line) => line !== undefined),
    ...fileCycles.map((cycle) => `cycle: ${cycle.join(" -> ")}`),
    // Two layers may need each other without any cycle of files; that is none the better.
    ...(fileCycles.length > 0 ? [] : cycles(layers(graph)).map((cycle) => `cycle of layers: ${cycle.join(" -> ")}`)),
  ];
}

if (import.meta.filename === process.argv[1]) {
  const dir = resolve(process.argv[2] ?? join(root, "src"));
  const lines = offences(dir);
  for (const line of lines) console.error(line);
  console.log(`${importGraph(dir).size} files, ${lines.length} offences against the direction of imports`);
  process.exitCode = lines.length > 0 ? 1 : 0;
}
