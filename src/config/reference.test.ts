import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { variableName } from "./load.ts";
import { options } from "./options.ts";

const commentOfKey = /^ {2}\/\*\*\n(.*?)\n {3}\*\/\n {2}(\w+): [^\n]*;$/gms;

/** The page, out of the comments in nodeConfig.ts: one source for the reader of the code and the reader of the docs. */
async function page(): Promise<string> {
  const source = await readFile(new URL("./nodeConfig.ts", import.meta.url), "utf8");
  const keys = [...source.matchAll(commentOfKey)].map(([, comment, key]) => {
    const text = comment!.replace(/^ {3}\* ?/gm, "");
    const [description, byDefault] = text.split("@default ");
    return {
      key: key as keyof typeof options,

      description: description!.trim(),
      byDefault: byDefault!.trim(),
    };
  });
  expect(keys.map((k) => k.key).sort()).toEqual(Object.keys(options).sort());
  const sections = keys.map(({ key, description, byDefault }) => {
    const text = options[key].text ? `Environment: \`${variableName(key)}\`. ` : "In a file only. ";
    return `## ${key}\n\n${description}\n\n${text}Default: ${byDefault}\n`;
  });
  return `<!-- Made from the comments in src/config/nodeConfig.ts: npx vitest run --project unit src/config/reference.test.ts -u -->

# Configuration

What counts, from first to last: a flag on the command line, a variable of the environment, the file
(\`--config FILE\`, else \`~/.hostlet/config.yaml\`), the default. The file is YAML with the keys below; a key that
isn't known is an error. In the environment and on the command line lists are separated by commas, labels are written
\`key=value\`, taints \`key=value:Effect\`.

\`\`\`yaml
# ~/.hostlet/config.yaml
maxPods: 20
pathLayout: pod
nodeLabels: { example.org/site: lab }
images:
  - match: python*
    entrypoint: [python3]
    env: { PYTHONUNBUFFERED: "1" }
\`\`\`

${sections.join("\n")}`;
}

test("docs/reference/config.md says what the comments say, and nothing else", async () => {
  await expect(await page()).toMatchFileSnapshot("../../docs/reference/config.md");
});
