/**
 * Shapes of secrets in a text, and their replacement.
 *
 * The time is linear in the size of any text: each expression begins with rare characters, or at the beginning of a run of
 * its characters; every repetition is bounded; and no repetition contains another one.
 */

import { mayHaveRuns, partsOf } from "../format/base64-runs.js";

/** A shape of secrets. */
export interface SecretPattern {
  /** Name in the marker. */
  readonly name: string;
  /** With the flag `g`. */
  readonly pattern: RegExp;
}

/** The marker that replaces a secret. */
export const redacted = (name: string): string => `[redacted:${name}]`;

const tokens = {
  "aws-access-key": "(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])",
  "google-key": String.raw`AIza[\w-]{35}|GOCSPX-[\w-]{20,60}|ya29\.[\w-]{20,1000}`,
  "github-token": String.raw`gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_\w{22,255}`,
  "gitlab-token": String.raw`gl(?:pat|ptt|dt|rt|cbt|ft|agent|soat|oas)-[\w.-]{20,300}`,
  "slack-token": String.raw`xox[abeoprs]-[\w-]{10,300}|xapp-[\w-]{10,300}`,
  "stripe-key": "(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9+/=]{16,300}",
  "anthropic-key": String.raw`sk-ant-[\w-]{10,300}`,
  "openai-key": String.raw`sk-(?:(?:proj|svcacct|admin|or)-[\w-]{20,300}|[A-Za-z0-9]{32,300})`,
  "npm-token": "npm_[A-Za-z0-9]{36}",
  "huggingface-token": "hf_[A-Za-z0-9]{30,100}",
  "groq-key": "gsk_[A-Za-z0-9]{40,100}",
  "sendgrid-key": String.raw`SG\.[\w-]{16,32}\.[\w-]{16,64}`,
  "pypi-token": String.raw`pypi-[\w-]{50,500}`,
  "databricks-token": "dapi[a-f0-9]{32}",
  "shopify-token": "shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
  "vault-token": String.raw`hv[sbr]\.[\w-]{20,300}`,
  "digitalocean-token": "do[opr]_v1_[a-f0-9]{64}",
  "supabase-key": String.raw`sbp_[a-f0-9]{40}|sb_secret_[\w-]{16,100}`,
  "replicate-token": "r8_[A-Za-z0-9]{30,60}",
  "xai-key": "xai-[A-Za-z0-9]{40,120}",
  "perplexity-key": "pplx-[A-Za-z0-9]{40,60}",
  "linear-key": "lin_api_[A-Za-z0-9]{32,64}",
  "notion-token": "ntn_[A-Za-z0-9]{40,60}",
  "grafana-token": String.raw`gl(?:sa|c)_[\w=-]{30,200}`,
  "postman-key": "PMAK-[a-f0-9]{24}-[a-f0-9]{34}",
  "doppler-token": String.raw`dp\.(?:pt|st|ct|sa)\.[\w.-]{40,60}`,
  "twilio-key": "SK[a-f0-9]{32}(?![A-Za-z0-9])",
  "age-key": "AGE-SECRET-KEY-1[A-Z0-9]{58}",
  jwt: String.raw`(?<![\w-])eyJ[\w-]{8,4096}\.eyJ[\w-]{8,4096}(?:\.[\w-]{0,4096})?`,
};

/** A token begins where no letter or digit precedes it. One expression for all: one for each took three times as long. */
const token = new RegExp(
  `(?<![A-Za-z0-9])(?:${Object.values(tokens)
    .map((source) => `(${source})`)
    .join("|")})`,
  "g",
);
const tokenNames = Object.keys(tokens);

/** The marker for a match of {@link token}: the number of its group is that of its name. */
const redactedToken = (_match: string, ...groups: unknown[]): string =>
  redacted(tokenNames[groups.findIndex((group) => group !== undefined)] ?? "token");

/** The beginnings of all tokens. */
const anyToken =
  /A(?:KIA|SIA|BIA|CCA|Iza)|GOCSPX-|ya29\.|g(?:h[pousr]|ithub_pat|sk)_|gl[a-z]{2,5}-|x(?:ox[abeoprs]|app)-|[sr]k_(?:live|test)_|whsec_|sk-|npm_|hf_|SG\.|pypi-|dapi|shp[a-z]{2}_|eyJ|hv[sbr]\.|do[opr]_v1_|sb(?:p|_secret)_|r8_|xai-|pplx-|lin_api_|ntn_|gl(?:sa|c)_|PMAK-|dp\.[psc]|SK[a-f0-9]|AGE-S/;

/** Every token has a run of `length` letters, digits, `_` and `-`, which begins at most `offset` after its beginning. */
const tokenRun = { length: 16, offset: 6 };

/**
 * Whether a text can hold a token. It looks at one of sixteen characters, and at the run around each that a token can
 * have: an expression took ten times as long, and most texts hold no token.
 */
function hasToken(text: string): boolean {
  const { length, offset } = tokenRun;
  for (let at = length - 1; at < text.length; at += length) {
    if (!isTokenCharacter(text, at)) continue;
    let from = at;
    while (from > 0 && isTokenCharacter(text, from - 1)) from--;
    while (at + 1 < text.length && isTokenCharacter(text, at + 1)) at++;
    if (at - from + 1 >= length && anyToken.test(text.slice(Math.max(0, from - offset), at + 1))) return true;
  }
  return false;
}

function isTokenCharacter(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  if (code >= 97) return code <= 122;
  if (code >= 65) return code <= 90 || code === 95;
  return (code >= 48 && code <= 57) || code === 45;
}

/** The signature in a URL that grants access to Azure storage. */
const sasSignature = /([?&;]sig=)[A-Za-z0-9%+/=]{20,200}/g;

/** The path of a webhook of Slack, which lets everybody post. */
const slackWebhook = /(hooks\.slack\.com\/(?:services|workflows|triggers)\/)[\w/-]{10,200}/g;

/** Private keys, truncated ones included, with line breaks of any kind, also as JSON escapes them. */
const privateKey =
  /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:(?:[^-]|-(?!----)){0,20000}-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|[\w+/=\s\\:,.]{0,20000})/g;

/** The password of `scheme://user:password@host`, but no placeholder such as `${PASSWORD}`. */
const urlPassword = /(:\/\/[^\s:@/"'<>\\[]{0,100}:)(?![${<%*]|\[redacted)[^\s/"'<>\\]{1,300}(?=@)/g;

/** `Bearer` and `Basic` followed by a token, which unlike a word has a digit or `=`. */
const bearer =
  /((?:[Bb]earer|BEARER|[Bb]asic|BASIC)\s{1,3})(?=[\w.~+/-]{0,60}[\d=])[\w.~+/-]{12,4096}={0,2}/g;

/** The header `Cookie` or `Set-Cookie` in one line. */
const cookie = /(ookie:\s{0,3})[^\r\n"'\\=]{1,100}=[^\r\n"'\\]{0,4096}/gi;

/** The password of a connection to Oracle: `thin:user/password@host`. */
const oraclePassword = /(oracle:(?:thin|oci):[^\s/@"'\\]{1,100}\/)[^\s@"'\\]{1,300}(?=@)/g;

/**
 * The end of a name that may be secret, the separator, and the value: in quotes, which may be escaped, or up to a
 * character that ends a value. JSON inside of JSON doubles the backslashes: 63 are six levels.
 */
const assignment =
  /(passw(?:or)?d|passphrase|pwd|secret|token|key|key_?base|authorization|credentials?)((?:\\{0,63}["'])?(\s{0,3})(?:=>|[:=])\s{0,3})(?:(\\{0,63}(["'`]))((?:(?!\5)[^\\\r\n]|\\(?!\5)[^\r\n]){1,4096})|((?:(?:bearer|basic|token)\s{1,3})?[^\s"'`\\,;&<>(){}[\]]{3,4096}))/gi;

/** A pair of JSON: `{ "name": "password", "value": "…" }`. */
const pair =
  /(["'](?:name|key|field|header)\\{0,63}["']\s{0,3}:\s{0,3}\\{0,63}["'])([\w .-]{1,60})(\\{0,63}["']\s{0,3},\s{0,40}\\{0,63}["'][Vv]alue\\{0,63}["']\s{0,3}:\s{0,3}\\{0,63}(["']))((?:(?!\4)[^\\\r\n]|\\(?!\4)[^\r\n]){1,4096})/gi;

/** A pair of YAML, such as a variable of a container: `- name: DB_PASSWORD`, and `value: …` in the next line. */
const pairOfLines =
  /(name:\s{0,3}["']?)([\w.-]{1,60})(["']?[ \t]{0,3}\r?\n[ \t]{0,40}value:[ \t]{0,3}["']?)(?![\s"'$])([^\r\n"']{1,4096})/g;

/** @internal All expressions, for the test of the rules at the top of this file. */
export const expressions: Readonly<Record<string, RegExp>> = {
  ...{ anyToken, sasSignature, slackWebhook, privateKey, urlPassword, oraclePassword, bearer, cookie },
  ...{ assignment, pair, pairOfLines },
  ...Object.fromEntries(Object.entries(tokens).map(([name, source]) => [name, new RegExp(source, "g")])),
};

/** How certain it is that the value of a name is secret. */
export type Suspicion = "none" | "weak" | "strong";

const strongName =
  /(?:passw(?:or)?d|passphrase|pwd|secret|credentials?|authorization|cookie|(?:api|access|account|secret|private|master|signing|encryption|auth|shared)key|keybase|(?:api|auth|access|refresh|bearer|session|id|bot|secret)token)$/;

/** The suspicion of the name of a member or a variable. Only the end of a long name counts. */
export function suspicionOf(name: string): Suspicion {
  const plain = name
    .slice(-60)
    .replace(/[_.\s-]/g, "")
    .toLowerCase();
  if (strongName.test(plain)) return "strong";
  if (/(?<!page|next|cursor|public)token$/.test(plain)) return "weak";
  return /[A-Z0-9]_KEY$/.test(name) && !/PUBLIC_KEY$/.test(name) ? "weak" : "none";
}

/** Values that are no secrets: placeholders, types, labels. */
const placeholder =
  /^(?:[$<{%]|\*+$|\[redacted|process\.|os\.|env\.|(?:string|number|boolean|text|object|any|unknown|required|optional|hidden|true|false|null|none|undefined|password|secret|token|bearer|basic)$)/i;

const isRandom = (value: string): boolean =>
  value.length >= 16 && /\d/.test(value) && /[a-z]/i.test(value) && !/\s/.test(value);

/** Whether a complete value is redacted, by the suspicion of its name. */
export const isSecretValue = (suspicion: Suspicion, value: string): boolean =>
  suspicion !== "none" &&
  value !== "" &&
  !placeholder.test(value) &&
  (suspicion === "strong" || isRandom(value));

/** Whether a complete number is redacted: a PIN or a code, but no flag and no count of few. */
export const isSecretNumber = (suspicion: Suspicion, value: number | bigint): boolean =>
  suspicion === "strong" && value >= 1000;

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
  if (isPassword(name) && (/^\d{4,}$/.test(word) || (isLastInLine(next) && /^[\w!@#%^*+-]{4,}$/.test(word))))
    return true;
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
  if (shown.includes("hooks.slack.com"))
    shown = shown.replace(slackWebhook, `$1${redacted("slack-webhook")}`);
  if (shown.includes("oracle:")) shown = shown.replace(oraclePassword, `$1${redacted("password")}`);
  if (shown.includes("://")) shown = shown.replace(urlPassword, `$1${redacted("password")}`);
  if (hasToken(shown)) shown = shown.replace(token, redactedToken);
  if (shown.includes("sig=")) shown = shown.replace(sasSignature, `$1${redacted("sas-signature")}`);
  shown = shown.replace(bearer, `$1${redacted("authorization")}`);
  if (/ookie:/i.test(shown)) shown = shown.replace(cookie, `$1${redacted("cookie")}`);
  if (shown.includes("alue")) shown = shown.replace(pair, redactedPair);
  if (shown.includes("value:")) shown = shown.replace(pairOfLines, redactedPair);
  return shown.replace(assignment, (match, end, between, space, quotes, _quote, quoted, word, at, whole) => {
    const name = (/[\w.-]{0,40}$/.exec(whole.slice(Math.max(0, at - 40), at))?.[0] ?? "") + end;
    const suspicion = suspicionOf(name);
    const isSecret =
      quoted === undefined
        ? isSecretWord(suspicion, name, space !== "", word, whole.charAt(at + match.length))
        : isSecretValue(suspicion, quoted) &&
          (!/\s/.test(quoted) || /^(?:bearer|basic|token) /i.test(quoted));
    return isSecret ? `${end}${between}${quotes ?? ""}${redacted("secret")}` : match;
  });
}

/** A match of {@link pair} or {@link pairOfLines} with its value replaced, where its name marks the value as secret. */
function redactedPair(match: string, before: string, name: string, between: string): string {
  const value = match.slice(before.length + name.length + between.length);
  return isSecretValue(suspicionOf(name), value)
    ? match.slice(0, match.length - value.length) + redacted("secret")
    : match;
}
