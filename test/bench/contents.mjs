/**
 * Texts as agents produce them: code, diffs, JSON, logs with quotes and newlines, Chinese, emoji. JSON.stringify escapes a
 * quote, a newline and a backslash, and a text with one character beyond Latin-1 takes two bytes for each in memory.
 */

const lines = {
  prose: (n) => `The agent reads file ${n}, thinks about what is in there, and writes down what was found. `,
  code: (n) =>
    `  const row${n} = rows.get("id-${n}") ?? { name: 'none', path: "C:\\\\work\\\\${n}" };\n\tif (!row${n}.ok) throw new Error(\`no "${n}"\`);\n`,
  diff: (n) => `@@ -${n},3 +${n},4 @@\n-  return "old ${n}";\n+  return "new ${n}"; // it's "quoted"\n   }\n`,
  json: (n) => JSON.stringify({ id: n, path: `src/file-${n}.ts`, ok: true, tags: ["a", "b"], note: null }),
  log: (n) =>
    `2026-11-30T12:00:${String(n % 60).padStart(2, "0")}.123Z ERROR [worker-${n}] "request failed": {"code":"E${n}"}\n    at run (/srv/app/${n}.js:10:5)\n`,
  chinese: (n) => `第${n}个文件已经读完，代理正在思考下一步要做什么，然后写下结果。`,
  emoji: (n) => `✅ step ${n} done 🎉 naïve café – “quoted” 👩‍💻\n`,
};

export const contents = Object.keys(lines);

/** A text of a kind with about so many bytes of UTF-8, different for each number. Flat in memory. */
export function contentOf(kind, bytes, number) {
  let text = "";
  let size = 0;
  for (let n = number * 100; size < bytes; n++) {
    const line = lines[kind](n);
    text += line;
    size += Buffer.byteLength(line);
  }
  return Buffer.from(text).toString();
}
