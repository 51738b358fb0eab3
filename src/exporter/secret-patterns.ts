/**
 * Shapes of secrets within a text, and their replacement.
 *
 * Linear in the size of the text, whatever is in it: each expression begins with what is rare, or where a run of its
 * characters begins; every repetition is bounded; and none contains another.
 */

/** A shape of secrets. */
export interface SecretPattern {
  /** Named in the marker. */
  readonly name: string;
  /** Global. */
  readonly pattern: RegExp;
}

/** What stands in the place of a secret. */
export const redacted = (name: string): string => `[redacted:${name}]`;

/** A token begins where no letter or digit stands before it. */
const tokens: readonly SecretPattern[] = Object.entries({
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
  jwt: String.raw`(?<![\w-])eyJ[\w-]{8,4096}\.eyJ[\w-]{8,4096}(?:\.[\w-]{0,4096})?`,
}).map(([name, source]) => ({ name, pattern: new RegExp(`(?<![A-Za-z0-9])(?:${source})`, "g") }));

/** How they begin. */
const anyToken =
  /A(?:KIA|SIA|BIA|CCA|Iza)|GOCSPX-|ya29\.|g(?:h[pousr]|ithub_pat|sk)_|gl[a-z]{2,5}-|x(?:ox[abeoprs]|app)-|[sr]k_(?:live|test)_|whsec_|sk-|npm_|hf_|SG\.|pypi-|dapi|shp[a-z]{2}_|eyJ/;

/** All of them have a run of so many letters, digits, `_` and `-` in them, at most so far from their beginning. */
const tokenRun = { length: 16, offset: 6 };

/**
 * Whether a text can have a token in it. Looks at one of sixteen characters, and around those that a token can have:
 * an expression took ten times as long, and most texts have none.
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

/** Of a URL that grants access to a store of Azure. */
const sasSignature = /([?&;]sig=)[A-Za-z0-9%+/=]{20,200}/g;

/** Private keys, also without their end, and with line breaks as JSON writes them. */
const privateKey =
  /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:(?:[^-]|-(?!----)){0,20000}-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|[\w+/=\s\\:,.]{0,20000})/g;

/** The password of `scheme://user:password@host`; not what stands for one, such as `${PASSWORD}`. */
const urlPassword = /(:\/\/[^\s:@/"'<>\\[]{0,100}:)(?![${<%*]|\[redacted)[^\s/"'<>\\]{1,300}(?=@)/g;

/** `Bearer` and `Basic` with what looks like a token, and not like a word. */
const bearer =
  /((?:[Bb]earer|BEARER|[Bb]asic|BASIC)\s{1,3})(?=[\w.~+/-]{0,60}[\d=])[\w.~+/-]{12,4096}={0,2}/g;

/** A header, as one line. */
const cookie = /(ookie:\s{0,3})[^\r\n"'\\=]{1,100}=[^\r\n"'\\]{0,4096}/gi;

/**
 * The end of a name that may be a secret's, what separates it from its value, and the value: within quotes, which may
 * be escaped, or up to where a value ends.
 */
const assignment =
  /(passw(?:or)?d|passphrase|pwd|secret|token|key|key_?base|authorization|credentials?)((?:\\{0,3}["'])?(\s{0,3})(?:=>|[:=])\s{0,3})(?:(\\{0,3}(["'`]))((?:(?!\5)[^\\\r\n]|\\(?!\5)[^\r\n]){1,4096})|((?:(?:bearer|basic|token)\s{1,3})?[^\s"'`\\,;&<>(){}[\]]{3,4096}))/gi;

/** @internal All of them, for the test that holds them to what is said above. */
export const expressions: Readonly<Record<string, RegExp>> = {
  ...{ anyToken, sasSignature, privateKey, urlPassword, bearer, cookie, assignment },
  ...Object.fromEntries(tokens.map(({ name, pattern }) => [name, pattern])),
};

/** How surely a name is that of a secret. */
export type Suspicion = "none" | "weak" | "strong";

const strongName =
  /(?:passw(?:or)?d|passphrase|pwd|secret|credentials?|authorization|cookie|(?:api|access|account|secret|private|master|signing|encryption|auth|shared)key|keybase|(?:api|auth|access|refresh|bearer|session|id|bot|secret)token)$/;

/** What the name of a member or a variable says of its value. Beginning with its end: names may be long. */
export function suspicionOf(name: string): Suspicion {
  const plain = name
    .slice(-60)
    .replace(/[_.\s-]/g, "")
    .toLowerCase();
  if (strongName.test(plain)) return "strong";
  if (/(?<!page|next|cursor|public)token$/.test(plain)) return "weak";
  return /[A-Z0-9]_KEY$/.test(name) && !/PUBLIC_KEY$/.test(name) ? "weak" : "none";
}

/** What is no secret where one could stand: what stands for one, a type, a label. */
const placeholder =
  /^(?:[$<{%]|\*+$|\[redacted|process\.|os\.|env\.|(?:string|number|boolean|text|object|any|unknown|required|optional|hidden|true|false|null|none|undefined|password|secret|token|bearer|basic)$)/i;

const isRandom = (value: string): boolean =>
  value.length >= 16 && /\d/.test(value) && /[a-z]/i.test(value) && !/\s/.test(value);

/** Whether a value that is certainly a whole one is to go, by the name that it has. */
export const isSecretValue = (suspicion: Suspicion, value: string): boolean =>
  value !== "" &&
  !placeholder.test(value) &&
  (suspicion === "strong" || (suspicion === "weak" && isRandom(value)));

/** The same of one without quotes, which may be code. */
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
  const isCode = /^[A-Za-z_$][\w$]*[?!]?\.[\w$.]+$/.test(word) && !/\d/.test(word);
  const isType = /^(?:sha|base|utf|u?int|float|aes|rsa|ed25519|[hre]s|md|v)\d/i.test(word);
  return word.length >= 6 && /\d/.test(word) && /[a-z]/i.test(word) && !isCode && !isType;
}

/** The text with a marker in the place of each secret. */
export function redactText(text: string, more: readonly SecretPattern[] = []): string {
  let shown = text;
  for (const { name, pattern } of more)
    shown = shown.replace(pattern, (match) => (match === "" ? "" : redacted(name)));
  if (shown.length < 8) return shown;
  if (shown.includes("-----BEGIN")) shown = shown.replace(privateKey, redacted("private-key"));
  if (shown.includes("://")) shown = shown.replace(urlPassword, `$1${redacted("password")}`);
  if (hasToken(shown)) for (const { name, pattern } of tokens) shown = shown.replace(pattern, redacted(name));
  if (shown.includes("sig=")) shown = shown.replace(sasSignature, `$1${redacted("sas-signature")}`);
  shown = shown.replace(bearer, `$1${redacted("authorization")}`);
  if (/ookie:/i.test(shown)) shown = shown.replace(cookie, `$1${redacted("cookie")}`);
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
