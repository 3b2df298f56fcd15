import fc from "fast-check";
import { expect, test } from "vitest";
import { parseTemplate, TemplateError } from "./goTemplate.ts";

const data = {
  pod: {
    metadata: { name: "p", namespace: "default", uid: "u", annotations: { "slurm-job.vk.io/flags": "--mem=1" } },
    spec: { containers: [{ name: "a", image: "x", command: ["sh", "-c"] }, { name: "b" }] },
  },
  container: [{ name: "a", configMaps: null }],
};

test.each([
  ["fields have Go's names, embedded ones too", "{{ .Pod.Name }}/{{ .Pod.ObjectMeta.UID }}", "p/u"],
  ["a range over a list", "{{ range .Pod.Spec.Containers }}{{ .Name }} {{ end }}", "a b "],
  [
    "a range with index and value",
    "{{ range $i, $c := .Pod.Spec.Containers }}{{ $i }}={{ $c.Name }};{{ end }}",
    "0=a;1=b;",
  ],
  [
    "a range over a map, in the order of its keys",
    "{{ range $k, $v := .Pod.Annotations }}{{ $k }}:{{ $v }}{{ end }}",
    "slurm-job.vk.io/flags:--mem=1",
  ],
  ["a range over nothing", "{{ range .Pod.Spec.Volumes }}x{{ else }}none{{ end }}", "none"],
  ["the outer data in a range", "{{ range .Containers }}{{ $.Pod.Name }}{{ end }}", "p"],
  ["if, else if, else", '{{ if eq .Pod.Name "q" }}1{{ else if .Pod.Name }}2{{ else }}3{{ end }}', "2"],
  ["with", "{{ with .Pod.Spec }}{{ len .Containers }}{{ end }}", "2"],
  ["index by an annotation's key", '{{ index .Pod.Annotations "slurm-job.vk.io/flags" }}', "--mem=1"],
  ["a pipeline", '{{ .Pod.Name | printf "%s-%v" "x" }}', "x-p"],
  ["parentheses", "{{ if and .Pod.Name (gt (len .Pod.Spec.Containers) 1) }}y{{ end }}", "y"],
  ["variables", '{{ $n := .Pod.Name }}{{ $n = "z" }}{{ $n }}', "z"],
  ["trim markers and comments", "a \n {{- /* no */ -}} \n b{{- 1 }}", "ab1"],
  ["what is not there", "{{ .Pod.Spec.Nothing }}", "<no value>"],
  ["a list as Go prints it", "{{ range .Pod.Spec.Containers }}{{ .Command }}{{ end }}", "[sh -c]<no value>"],
])("%s", (_, template, expected) => {
  expect(parseTemplate(template)(data)).toBe(expected);
});

test.each([
  ["{{ if .A }}", "a block without {{end}}"],
  ["{{ end }}", "unexpected {{end}}"],
  ["{{ .A", "unclosed {{"],
])("%s is refused when it is read", (template, words) => {
  expect(() => parseTemplate(template)).toThrow(words);
});

test("a function that is not known is refused when it is used", () => {
  expect(() => parseTemplate("{{ exec .A }}")({})).toThrow(TemplateError);
});

test("text without actions comes out as it is, and nothing makes the parser hang or fail otherwise", () => {
  fc.assert(
    fc.property(
      fc.string().filter((s) => !s.includes("{{")),
      (text) => parseTemplate(text)({}) === text,
    ),
  );
  const piece = fc.constantFrom(
    "{{",
    "}}",
    "if ",
    "range ",
    "end",
    "else",
    ".A",
    "$",
    "|",
    "(",
    ")",
    '"',
    "-",
    " ",
    "eq ",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      try {
        parseTemplate(pieces.join(""))({ a: 1 });
      } catch (error) {
        expect(error instanceof TemplateError || error instanceof SyntaxError).toBe(true);
      }
    }),
  );
});
