/**
 * Shapes of secrets in a text, and their replacement.
 *
 * The time is linear in the size of any text: each expression begins with rare characters, or at the beginning of a run of
 * its characters; every repetition is bounded; and no repetition contains another one.
 */

import { mayHaveRuns, partsOf } from "../format/base64-runs.js";
import { argumentExpressions, redactArguments } from "./secret-arguments.js";
import { redacted, redactTokens, tokenExpressions } from "./secret-tokens.js";

/** A shape of secrets. */
export interface SecretPattern {
  /** Name in the marker. */
  readonly name: string;
  /** With the flag `g`. */
  readonly pattern: RegExp;
}

/** The signature in a URL that grants access to Azure storage. */
const sasSignature = /([?&;]sig=)[A-Za-z0-9%+/=]{20,200}/g;

/** The path of a webhook. The path alone allows a caller to post. */
const webhook =
  /(hooks\.slack\.com\/(?:services|workflows|triggers)\/|discord(?:app)?\.com\/api\/(?:v\d{1,2}\/)?webhooks\/|webhook\.office\.com\/webhookb2\/|hooks\.zapier\.com\/hooks\/catch\/)[\w/@-]{10,300}/g;

/** Private keys, truncated ones included, with line breaks of any kind, also as JSON escapes them. */
const privateKey =
  /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:(?:[^-]|-(?!----)){0,20000}-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|[\w+/=\s\\:,.]{0,20000})/g;

/** The private lines of a key of PuTTY. */
const puttyKey = /(Private-Lines: \d{1,4}(?:\s|\\[rn]){1,4})[\w+/=\s\\]{16,20000}/g;

/** The password of `scheme://user:password@host`, but no placeholder such as `${PASSWORD}`. */
const urlPassword = /(:\/\/[^\s:@/"'<>\\[]{0,100}:)(?![${<%*]|\[redacted)[^\s/"'<>\\]{1,300}(?=@)/g;

/** A token in the place of the user: `https://token@host`. */
const urlToken = /(:\/\/)(?=[\w.-]{0,100}\d)(?=[\d_-]{0,100}[A-Za-z])[\w.-]{20,300}(?=@)/g;

/** `Bearer` and `Basic` followed by a token, which unlike a word has a digit or `=`. */
const bearer =
  /((?:[Bb]earer|BEARER|[Bb]asic|BASIC)\s{1,3})(?=[\w.~+/-]{0,60}[\d=])[\w.~+/-]{12,4096}={0,2}/g;

/**
 * The header `Authorization` with any scheme, up to its credentials. A scheme that is not listed may be prose, unless a digit
 * or `=` follows.
 */
const authorization =
  /uthorization:\s{0,3}(?:(?:digest|negotiate|ntlm|hawk|api-?key|ssws|geniekey|oauth|dpop|bot|splunk|signature)\s{1,3}|[a-z][\w-]{1,30}\s{1,3}(?=[^\s"'\\]{0,300}[\d=]))(?![$<{%"'\s]|\[redacted)/gi;

/** The header `Cookie` or `Set-Cookie` in one line. */
const cookie = /(ookie:\s{0,3})[^\r\n"'\\=]{1,100}=[^\r\n"'\\]{0,4096}/gi;

/** The password of a connection to Oracle: `thin:user/password@host`. */
const oraclePassword = /(oracle:(?:thin|oci):[^\s/@"'\\]{1,100}\/)[^\s@"'\\]{1,300}(?=@)/g;

/** Ends of names whose values may be secret. */
const nameEnds =
  "passw(?:or)?ds?|passphrase|pwd|secrets?|token|key|key_?base|authorization|credentials?|pass|auth";

/**
 * The end of a name, the separator, and either the quote that begins the value, or a value without quotes, up to a character
 * that ends it. JSON inside of JSON doubles the backslashes before a quote: 63 are six levels.
 */
const assignmentOf = (names: string): RegExp =>
  new RegExp(
    String.raw`(${names})((?:\\{0,63}["']\]?)?(\s{0,3})(?:=>|[:=])\s{0,3})(?:(\\{0,63})(["'\x60])|((?:(?:bearer|basic|token)\s{1,3})?[^\s"'\x60\\,;&<>(){}[\]]{2,4096}))`,
    "gi",
  );
const assignment = assignmentOf(nameEnds);

/** The password of a machine in `.netrc`. */
const netrc =
  /(machine(?:\s|\\[nrt]){1,9}[^\s\\]{1,200}(?:\s|\\[nrt]){1,9}(?:(?:login|account)(?:\s|\\[nrt]){1,9}[^\s\\]{1,200}(?:\s|\\[nrt]){1,9})?(?:(?:login|account)(?:\s|\\[nrt]){1,9}[^\s\\]{1,200}(?:\s|\\[nrt]){1,9})?password(?:\s|\\[nrt]){1,9})(?![$<{%"'\s]|\[redacted)[^\s\\"]{1,300}/g;

/** The last field of a line of `.pgpass`. */
const pgpass =
  /(:(?:5432|6432|\*):[^\s:]{1,100}:[^\s:]{1,100}:)(?!\[redacted)[^\s:"'\\]{1,300}(?=$|\\n|["'])/gm;

/** A pair of JSON: `{ "name": "password", "value": "…" }`. */
const pair =
  /(["'](?:name|key|field|header)\\{0,63}["']\s{0,3}:\s{0,3}\\{0,63}["'])([\w .-]{1,60})(\\{0,63}["']\s{0,3},\s{0,40}\\{0,63}["'][Vv]alue\\{0,63}["']\s{0,3}:\s{0,3}\\{0,63}(["']))((?:(?!\4)[^\\\r\n]|\\(?!\4)[^\r\n]){1,4096})/gi;

/** A pair of YAML, such as a variable of a container: `- name: DB_PASSWORD`, and `value: …` in the next line. */
const pairOfLines =
  /(name:\s{0,3}["']?)([\w.-]{1,60})(["']?[ \t]{0,3}\r?\n[ \t]{0,40}value:[ \t]{0,3}["']?)(?![\s"'$])([^\r\n"']{1,4096})/g;

/** @internal All expressions, for the test of the rules at the top of this file. */
export const expressions: Readonly<Record<string, RegExp>> = {
  ...{ sasSignature, webhook, privateKey, puttyKey, urlPassword, urlToken, oraclePassword, bearer, cookie },
  ...{ authorization, assignment, netrc, pgpass, pair, pairOfLines },
  ...argumentExpressions,
  ...tokenExpressions,
};

/** How certain it is that the value of a name is secret. `all`: if it is an object, each of its members is, too. */
export type Suspicion = "none" | "weak" | "strong" | "all";

const strongName =
  /(?:passw(?:or)?ds?|passphrase|pwd|^pass|secrets?|credentials?|authorization|cookie|(?:api|app|application|access|account|license|secret|private|master|signing|encryption|auth|shared)key|keybase|sshpass|(?:api|auth|access|refresh|bearer|session|id|bot|secret)token)$/;

/** The suspicion of the name of a member or a variable. Only the end of a long name counts. */
export function suspicionOf(name: string): Suspicion {
  const plain = name
    .slice(-60)
    .replace(/[_.\s-]/g, "")
    .toLowerCase();
  if (/(?:passwords|secrets|credentials)$/.test(plain)) return "all";
  if (strongName.test(plain) || /[_.-]pass$/i.test(name)) return "strong";
  if (/(?<!page|next|cursor|public)token$|^auth$/.test(plain) || /_auth$/i.test(name)) return "weak";
  return /[A-Z0-9]_KEY$/.test(name) && !/PUBLIC_KEY$/.test(name) ? "weak" : "none";
}

/** Values that are no secrets: placeholders, types, labels. */
const placeholder =
  /^(?:[$<{%]|\*+$|\[redacted|process\.|os\.|env\.|(?:string|number|boolean|text|object|any|unknown|required|optional|hidden|true|false|null|none|undefined|password|secret|token|bearer|basic|include|omit|same-origin)$)/i;

const isRandom = (value: string): boolean =>
  value.length >= 16 && /\d/.test(value) && /[a-z]/i.test(value) && !/\s/.test(value);

/** `user:password` in base64, as in the configuration of Docker and npm. */
const isPairInBase64 = (value: string): boolean =>
  /^[A-Za-z0-9+/]{6,1000}={0,2}$/.test(value) &&
  value.length % 4 === 0 &&
  /^[!-~]+:[!-~]+$/.test(Buffer.from(value, "base64").toString("latin1"));

/** Whether a complete value is redacted, by the suspicion of its name. */
export const isSecretValue = (suspicion: Suspicion, value: string): boolean =>
  suspicion !== "none" &&
  value !== "" &&
  !placeholder.test(value) &&
  (isStrong(suspicion) || isRandom(value) || isPairInBase64(value));

/** Whether a complete number is redacted. A number below 1,000 is taken for a flag or a count. */
export const isSecretNumber = (suspicion: Suspicion, value: number | bigint): boolean =>
  isStrong(suspicion) && value >= 1000;

const isStrong = (suspicion: Suspicion): boolean => suspicion === "strong" || suspicion === "all";

const isPassword = (name: string): boolean => /(?:passw(?:or)?d|passphrase|pwd)$/i.test(name);
const isLastInLine = (next: string): boolean => next === "" || next === "\n" || next === "\r";

/** As {@link isSecretValue}, for a value without quotes, which may be code. */
function isSecretWord(
  suspicion: Suspicion,
  name: string,
  hasSpace: boolean,
  word: string,
  next: string,
): boolean {
  if (!isSecretValue(suspicion, word) || next === "(") return false;
  const isVariable = /^[A-Z0-9_]+$/.test(name);
  if (isVariable && !hasSpace) return true;
  const [, scheme, credential] = /^(bearer|basic|token)\s+(.*)$/i.exec(word) ?? [];
  if (scheme && /authorization$/i.test(name))
    return (credential ?? "").length >= 4 && !placeholder.test(credential ?? "");
  if (isPassword(name) && (/^\d{4,}$/.test(word) || (isLastInLine(next) && /^[\w!@#%^*+-]{4,}$/.test(word))))
    return true;
  if (isPairInBase64(word) || (/^x-/i.test(name) && suspicion === "strong" && word.length >= 6)) return true;
  const isCode = /^[A-Za-z_$][\w$]*[?!]?\.[\w$.]+$/.test(word) && !/\d/.test(word);
  const isType = /^(?:sha|base|utf|u?int|float|aes|rsa|ed25519|[hre]s|md|v)\d/i.test(word);
  return word.length >= 6 && /\d/.test(word) && /[a-z]/i.test(word) && !isCode && !isType;
}

/**
 * Characters of a long run of base64 that are searched at each of its ends, together with the text around it: the longest
 * secret has fewer.
 */
const searchedChars = 24_576;

/** Replaces each secret in a text by a marker. Long base64 is searched at its ends, and by `more` only in between. */
export function redactText(text: string, more: readonly SecretPattern[] = []): string {
  let shown = text;
  for (const { name, pattern } of more)
    shown = shown.replace(pattern, (match) => (match === "" ? "" : redacted(name)));
  if (!mayHaveRuns(shown)) return redactKnown(shown);
  let result = "";
  let isChanged = false;
  let near = "";
  const search = () => {
    const searched = redactKnown(near);
    isChanged ||= searched !== near;
    result += searched;
  };
  for (const { text: part, isBase64 } of partsOf(shown)) {
    if (!isBase64 || part.length <= 2 * searchedChars) {
      near += part;
      continue;
    }
    near += part.slice(0, searchedChars);
    search();
    result += part.slice(searchedChars, -searchedChars);
    near = part.slice(-searchedChars);
  }
  search();
  return isChanged ? result : shown;
}

function redactKnown(text: string): string {
  let shown = text;
  if (shown.length < 8) return shown;
  if (shown.includes("-----BEGIN")) shown = shown.replace(privateKey, redacted("private-key"));
  if (shown.includes("Private-Lines:")) shown = shown.replace(puttyKey, `$1${redacted("private-key")}`);
  if (shown.includes("hook")) shown = shown.replace(webhook, `$1${redacted("webhook")}`);
  if (shown.includes("oracle:")) shown = shown.replace(oraclePassword, `$1${redacted("password")}`);
  if (shown.includes("://")) shown = shown.replace(urlPassword, `$1${redacted("password")}`);
  shown = redactTokens(shown);
  if (shown.includes("://")) shown = shown.replace(urlToken, `$1${redacted("password")}`);
  if (shown.includes("sig=")) shown = shown.replace(sasSignature, `$1${redacted("sas-signature")}`);
  shown = shown.replace(bearer, `$1${redacted("authorization")}`);
  if (shown.includes("uthorization:") || shown.includes("UTHORIZATION:")) shown = redactAuthorization(shown);
  if (/ookie:/i.test(shown)) shown = shown.replace(cookie, `$1${redacted("cookie")}`);
  if (shown.includes("alue")) shown = shown.replace(pair, redactedPair);
  if (shown.includes("value:")) shown = shown.replace(pairOfLines, redactedPair);
  shown = redactArguments(shown);
  if (shown.includes("machine") && shown.includes("password"))
    shown = shown.replace(netrc, `$1${redacted("password")}`);
  if (shown.includes("432:") || shown.includes(":*:"))
    shown = shown.replace(pgpass, `$1${redacted("password")}`);
  return redactAssignments(shown, assignment, isSecretAssignment);
}

/** Replaces the credentials of headers, up to the end of the line or of the text in quotes that holds the header. */
function redactAuthorization(text: string): string {
  let shown = "";
  let done = 0;
  for (const match of text.matchAll(authorization)) {
    const from = match.index + match[0].length;
    if (from < done) continue;
    shown += text.slice(done, from) + redacted("authorization");
    done = endOfHeader(text, from);
  }
  return done === 0 ? text : shown + text.slice(done);
}

/** A quote after `=` begins a parameter: `Digest username="ada"`. */
function endOfHeader(text: string, from: number): number {
  const last = Math.min(text.length, from + longestValue);
  let quote = "";
  for (let at = from; at < last; at++) {
    const char = text.charAt(at);
    if (char === "\n" || char === "\r") return at;
    if (char === "\\" && /[nr]/.test(text.charAt(at + 1))) return at;
    if (char === quote) quote = "";
    else if (quote === "" && (char === '"' || char === "'")) {
      const [slashes = ""] = /\\*$/.exec(text.slice(Math.max(from, at - 63), at)) ?? [];
      if (text.charAt(at - slashes.length - 1) !== "=") return at - slashes.length;
      quote = char;
    }
  }
  return last;
}

/** A name, and the value that is assigned to it. */
interface Assignment {
  readonly name: string;
  /** Between the name and the value. */
  readonly between: string;
  readonly hasSpace: boolean;
  readonly value: string;
  readonly isQuoted: boolean;
  /** The character after a value without quotes. */
  readonly next: string;
}

/** Characters of a value in quotes at most. */
const longestValue = 4_096;

/** Replaces secret values of assignments. A value that is not replaced is searched for assignments inside of it. */
function redactAssignments(
  text: string,
  expression: RegExp,
  isSecret: (assignment: Assignment) => boolean,
): string {
  let shown = "";
  let done = 0;
  expression.lastIndex = 0;
  for (let match = expression.exec(text); match; match = expression.exec(text)) {
    const [whole, end = "", between = "", space, escapes, quote, word = ""] = match;
    const after = match.index + whole.length;
    const from = after - word.length;
    const to = quote === undefined ? after : endOfQuoted(text, from, (escapes ?? "").length, quote);
    const before = text.slice(Math.max(0, match.index - 40), match.index);
    const isFound = isSecret({
      name: (/[\w.-]{0,40}$/.exec(before)?.[0] ?? "") + end,
      between,
      hasSpace: space !== "",
      value: text.slice(from, to),
      isQuoted: quote !== undefined,
      next: text.charAt(to),
    });
    if (!isFound) {
      if (quote !== undefined) expression.lastIndex = from;
      continue;
    }
    shown += text.slice(done, from) + redacted("secret");
    done = to;
    expression.lastIndex = to;
  }
  return done === 0 ? text : shown + text.slice(done);
}

/**
 * Where a value in quotes ends: at its closing quote, else at the end of the line. `depth`: backslashes before the opening
 * quote. A quote inside of the value has twice as many and one; in single quotes of YAML and SQL it is doubled.
 */
function endOfQuoted(text: string, from: number, depth: number, quote: string): number {
  const last = Math.min(text.length, from + longestValue);
  let slashes = 0;
  for (let at = from; at < last; at++) {
    const char = text.charAt(at);
    if (char === "\\") slashes++;
    else if (char === "\n" || char === "\r") return at;
    else if (char !== quote) slashes = 0;
    else if (quote === "'" && at > from && depth === 0 && text.charAt(at + 1) === "'") at++;
    else if (slashes % (2 * (depth + 1)) <= depth) return at - Math.min(slashes, depth);
    else slashes = 0;
  }
  return last;
}

function isSecretAssignment({ name, between, hasSpace, value, isQuoted, next }: Assignment): boolean {
  // Tests pass.
  if (/^pass$/i.test(name) && !(isQuoted && /^\\*["']/.test(between))) return false;
  const suspicion = suspicionOf(name);
  if (!isQuoted) return isSecretWord(suspicion, name, hasSpace, value, next);
  if (!isSecretValue(suspicion, value)) return false;
  // A member of JSON, or a variable: else words may be prose or code.
  const isMember = /^\\*"/.test(between) || /^[A-Z0-9_]+$/.test(name);
  return isMember || !/\s/.test(value) || /^(?:bearer|basic|token) /i.test(value);
}

/** Replaces each value that is assigned to one of these names in a text. `names`: sources of expressions. */
export function redactNamed(text: string, names: RegExp): string {
  return redactAssignments(
    text,
    names,
    ({ value, isQuoted, next }) => value !== "" && !placeholder.test(value) && (isQuoted || next !== "("),
  );
}

/** An expression for {@link redactNamed}: these names, compared without case, `_`, `-` and `.`. */
export const namesIn = (names: readonly string[]): RegExp =>
  assignmentOf(
    `(?<![A-Za-z0-9])(?:${names.map((name) => [...name].map((char) => char.replace(/\W/g, "\\$&")).join("[_.-]?")).join("|")})`,
  );

/** A match of {@link pair} or {@link pairOfLines} with its value replaced, where its name marks the value as secret. */
function redactedPair(match: string, before: string, name: string, between: string): string {
  const value = match.slice(before.length + name.length + between.length);
  return isSecretValue(suspicionOf(name), value)
    ? match.slice(0, match.length - value.length) + redacted("secret")
    : match;
}
