/**
 * Tokens of services, which are known by their shape alone.
 *
 * The time is linear in the size of any text: every repetition is bounded, and no repetition contains another one.
 */

/** The marker that replaces a secret. */
export const redacted = (name: string): string => `[redacted:${name}]`;

const hex = "[a-f0-9]";
const word = String.raw`[\w-]`;
const alnum = "[A-Za-z0-9]";
const uuid = `${hex}{8}-${hex}{4}-${hex}{4}-${hex}{4}-${hex}{12}`;

/**
 * Name, beginning and rest of each shape. The first two characters of a beginning are fixed. Sources: the documentation of the services, and
 * the rules of gitleaks.
 */
const shapes: readonly (readonly [name: string, start: string, rest: string])[] = [
  ["aws-access-key", "AKIA", "[A-Z0-9]{16}(?![A-Za-z0-9])"],
  ["aws-access-key", "ASIA", "[A-Z0-9]{16}(?![A-Za-z0-9])"],
  ["aws-access-key", "ABIA", "[A-Z0-9]{16}(?![A-Za-z0-9])"],
  ["google-key", "AIza", `${word}{35}`],
  ["google-key", "GOCSPX-", `${word}{20,60}`],
  ["google-key", String.raw`ya29\.`, `${word}{20,1000}`],
  ["google-key", "1//0", `${word}{40,200}`],
  ["github-token", "gh[pousr]_", `${alnum}{30,255}`],
  ["github-token", "github_pat_", String.raw`\w{22,255}`],
  ["gitlab-token", "gl(?:pat|ptt|dt|rt|cbt|ft|agent|soat|oas)-", String.raw`[\w.-]{20,300}`],
  ["slack-token", "xox[abeoprs]-", `${word}{10,300}`],
  ["slack-token", "xapp-", `${word}{10,300}`],
  ["stripe-key", "sk_(?:live|test)_", "[A-Za-z0-9+/=]{16,300}"],
  ["stripe-key", "rk_(?:live|test)_", "[A-Za-z0-9+/=]{16,300}"],
  ["stripe-key", "whsec_", "[A-Za-z0-9+/=]{16,300}"],
  ["anthropic-key", "sk-ant-", `${word}{10,300}`],
  ["langfuse-key", "sk-lf-", uuid],
  ["openai-key", "sk-", `(?:(?:proj|svcacct|admin|or)-${word}{20,300}|${alnum}{32,300})`],
  ["npm-token", "npm_", `${alnum}{36}`],
  ["huggingface-token", "hf_", `${alnum}{30,100}`],
  ["groq-key", "gsk_", `${alnum}{40,100}`],
  ["cerebras-key", "csk-", `${alnum}{40,60}`],
  ["fireworks-key", "fw_", `${alnum}{22,30}(?!${alnum})`],
  ["tavily-key", "tvly-", `${word}{20,60}`],
  ["langsmith-key", "lsv2_(?:pt|sk)_", `${hex}{32}_${hex}{10}`],
  ["pinecone-key", "pcsk_", String.raw`\w{40,100}`],
  ["firecrawl-key", "fc-", `${hex}{32}`],
  ["e2b-key", "e2b_", `${hex}{40}`],
  ["sendgrid-key", String.raw`SG\.`, String.raw`[\w-]{16,32}\.[\w-]{16,64}`],
  ["pypi-token", "pypi-", `${word}{50,500}`],
  ["rubygems-key", "rubygems_", `${hex}{48}`],
  ["databricks-token", "dapi", `${hex}{32}`],
  ["shopify-token", "shp(?:at|ca|pa|ss|ua)_", "[a-fA-F0-9]{32}"],
  ["vault-token", String.raw`hv[sbr]\.`, `${word}{20,300}`],
  ["pulumi-token", "pul-", `${hex}{40}`],
  ["digitalocean-token", "do[opr]_v1_", `${hex}{64}`],
  ["supabase-key", "sbp_", `${hex}{40}`],
  ["supabase-key", "sb_secret_", `${word}{16,100}`],
  ["planetscale-token", "pscale_(?:tkn|oauth|pw)_", String.raw`[\w.-]{32,64}`],
  ["neon-key", "npg_", `${alnum}{12,40}`],
  ["neon-key", "napi_", `${alnum}{40,80}`],
  ["replicate-token", "r8_", `${alnum}{30,60}`],
  ["xai-key", "xai-", `${alnum}{40,120}`],
  ["perplexity-key", "pplx-", `${alnum}{40,60}`],
  ["linear-key", "lin_(?:api|oauth)_", `${alnum}{32,64}`],
  ["notion-token", "ntn_", `${alnum}{40,60}`],
  ["notion-token", "secret_", `${alnum}{43}(?!${alnum})`],
  ["figma-token", "fig[dou]r?_", `${word}{36,60}`],
  ["grafana-token", "gl(?:sa|c)_", String.raw`[\w=-]{30,200}`],
  ["postman-key", "PMAK-", `${hex}{24}-${hex}{34}`],
  ["doppler-token", String.raw`dp\.(?:pt|st|ct|sa)\.`, String.raw`[\w.-]{40,60}`],
  ["twilio-key", "SK", `${hex}{32}(?!${alnum})`],
  ["age-key", "AGE-SECRET-KEY-1", "[A-Z0-9]{58}"],
  ["discord-token", String.raw`mfa\.`, `${word}{80,100}`],
  ["mailgun-key", "key-", String.raw`(?<![\w-]key-)${hex}{32}(?!${alnum})`],
  ["brevo-key", "xkeysib-", `${hex}{64}-${alnum}{16}`],
  ["resend-key", `re_${alnum}{8}_`, `${alnum}{20,30}(?!${alnum})`],
  ["square-token", "sq0(?:atp|csp|idp)-", `${word}{22,43}`],
  ["square-token", "EAAA", `${word}{60}(?!${alnum})`],
  ["facebook-token", "EAA[A-Z]", `${alnum}{80,300}`],
  ["heroku-key", "HRKU-", `${word}{30,80}`],
  ["cloudflare-token", "cf(?:k|ut|at)_", `${alnum}{40,60}`],
  ["cloudflare-token", String.raw`v1\.0-`, `${hex}{24}-${hex}{100,200}`],
  ["dropbox-token", String.raw`sl\.(?:u\.)?`, `${word}{60,1500}`],
  ["atlassian-token", "AT(?:ATT|CTT)3", String.raw`[\w=-]{60,300}`],
  ["atlassian-token", "ATBB", `${alnum}{32}`],
  ["docker-token", "dckr_[po]at_", `${word}{27,40}`],
  ["sentry-token", "sntry[su]_", String.raw`[\w=+/-]{40,500}`],
  ["newrelic-key", "NR(?:AK|JS|II|IQ)-", `${word}{19,40}`],
  ["datadog-key", "dd(?:app|pat)_", `${alnum}{30,60}`],
  ["posthog-key", "phx_", `${alnum}{40,60}`],
  ["netlify-token", "nf[pc]_", `${alnum}{36,60}`],
  ["render-key", "rnd_", `${alnum}{28,40}(?!${alnum})`],
  ["fly-token", "fm[12]_", "[A-Za-z0-9+/=_-]{60,2000}"],
  ["fly-token", "fo1_", `${word}{40,60}`],
  ["tailscale-key", "tskey-[a-z]{3,8}-", `${word}{16,80}`],
  ["1password-token", "ops_eyJ", `${word}{100,2000}`],
  ["hubspot-token", String.raw`pat-(?:na|eu|ap)\d-`, uuid],
  ["mapbox-token", String.raw`sk\.eyJ`, String.raw`[\w-]{20,200}\.[\w-]{20,60}`],
  ["jwt", "eyJ", String.raw`(?<![\w-]eyJ)[\w-]{8,4096}\.eyJ[\w-]{8,4096}(?:\.[\w-]{0,4096})?`],
];

/**
 * Shapes without a beginning of their own, each with what the surroundings of a run show of it: a few characters, or the whole
 * from its beginning.
 */
const marked: readonly (readonly [name: string, sign: RegExp, pattern: RegExp])[] = [
  ["google-key", /:APA91/, /(?<![A-Za-z0-9])[A-Za-z0-9][\w-]{10}:APA91[\w-]{100,200}/g],
  ["terraform-token", /lasv1\./, /(?<![A-Za-z0-9])[A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,80}/g],
  ["telegram-token", /:AA/, /(?<![A-Za-z0-9])(?:bot)?\d{8,10}:AA[\w-]{33}(?![A-Za-z0-9])/g],
  ["azure-secret", /\dQ~/, /(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}/g],
  ["newrelic-key", /NRAL/, /(?<![A-Za-z0-9])\w{36}NRAL(?![A-Za-z0-9])/g],
  ["mailchimp-key", /-us\d/, /(?<![A-Za-z0-9])[a-f0-9]{32}-us\d{1,2}(?![\w-])/g],
  ["dynatrace-token", /t0[a-z]\d\d\./, /(?<![A-Za-z0-9])dt0[a-z]\d\d\.[A-Z0-9]{24}\.[A-Z0-9]{64}/g],
  ["discord-token", /^[\w-]{5}\.[\w-]{27}/, /(?<![\w-])[MNO][\w-]{22,27}\.[\w-]{6}\.[\w-]{27,40}/g],
  ["airtable-token", /^.{0,6}pat[A-Za-z0-9]{14}$/, /(?<![A-Za-z0-9])pat[A-Za-z0-9]{14}\.[a-f0-9]{64}/g],
  [
    "mailgun-key",
    /^.{0,6}[a-f0-9]{32}-[a-f0-9]{8}-/,
    /(?<![A-Za-z0-9])[a-f0-9]{32}-[a-f0-9]{8}-[a-f0-9]{8}(?![\w-])/g,
  ],
];
/** An expression with `^` alone is tried once, and one without runs through the text as fast as a search. */
const [anchoredSign, anySign] = [true, false].map(
  (isAnchored) =>
    new RegExp(
      marked
        .map(([, { source }]) => source)
        .filter((source) => source.startsWith("^") === isAnchored)
        .join("|"),
    ),
) as [RegExp, RegExp];

/** By first characters, so that few are tried at a place: each begins with one of some thirty. */
const byFirst = new Map<string, (typeof shapes)[number][]>();
for (const shape of shapes) {
  const first = shape[1].charAt(0);
  byFirst.set(first, [...(byFirst.get(first) ?? []), shape]);
}
const oneOf = (part: (shape: (typeof shapes)[number]) => string): string =>
  [...byFirst].map(([first, some]) => `${first}(?:${some.map(part).join("|")})`).join("|");

/** A token begins where no letter or digit precedes it. One expression for all: one for each took three times as long. */
const token = new RegExp(
  `(?<![A-Za-z0-9])(?:${oneOf(([, start, rest]) => `(${start.slice(1)}${rest})`)})`,
  "g",
);
/** The names of the groups of {@link token}. */
const tokenNames = [...byFirst.values()].flat().map(([name]) => name);

/** The beginnings of all tokens, and the first two characters of each. */
const anyStart = new RegExp(`(?<![A-Za-z0-9])(?:${oneOf(([, start]) => start.slice(1))})`);
const pairOf = (text: string, at: number): number => text.charCodeAt(at) * 128 + text.charCodeAt(at + 1);
const pairs = new Set(shapes.map(([, start]) => pairOf(start.replaceAll("\\", ""), 0)));

/** Whether a token begins in a text that is short. Few texts have the two characters, and an expression takes ten times as long. */
function hasStart(text: string): boolean {
  let isInside = false;
  for (let at = 0; at < text.length; at++) {
    if (!isInside && pairs.has(pairOf(text, at))) return anyStart.test(text);
    isInside = isAlphanumeric(text.charCodeAt(at));
  }
  return false;
}

const isAlphanumeric = (code: number): boolean =>
  (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || (code >= 48 && code <= 57);

/**
 * Every token has a run of `length` letters, digits, `_` and `-`. At most `offset` characters before it, the token begins, or
 * has its sign.
 */
const tokenRun = { length: 16, offset: 6 };

/**
 * Replaces each token. It looks at one of sixteen characters, and at the run around each that a token can have: an expression
 * took ten times as long, and most texts hold no token.
 */
export function redactTokens(text: string): string {
  const { length, offset } = tokenRun;
  let isFound = false;
  const signs = new Set<(typeof marked)[number]>();
  for (let at = length - 1; at < text.length; at += length) {
    if (!isTokenCharacter(text, at)) continue;
    let from = at;
    while (from > 0 && isTokenCharacter(text, from - 1)) from--;
    while (at + 1 < text.length && isTokenCharacter(text, at + 1)) at++;
    if (at - from + 1 < length) continue;
    const near = text.slice(Math.max(0, from - offset), at + 1);
    isFound ||= hasStart(near);
    if (anySign.test(near) || anchoredSign.test(near))
      for (const one of marked) if (one[1].test(near)) signs.add(one);
  }
  let shown = isFound ? text.replace(token, redactedToken) : text;
  for (const [name, , pattern] of signs) shown = shown.replace(pattern, redacted(name));
  return shown;
}

/** The marker for a match of {@link token}: the number of its group is that of its name. */
const redactedToken = (_match: string, ...groups: unknown[]): string =>
  redacted(tokenNames[groups.findIndex((group) => group !== undefined)] ?? "token");

function isTokenCharacter(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return isAlphanumeric(code) || code === 45 || code === 95;
}

/** @internal All expressions, for the test of the rules at the top of this file. */
export const tokenExpressions: Readonly<Record<string, RegExp>> = {
  ...{ anyStart, anySign },
  ...Object.fromEntries(shapes.map(([, start, rest]) => [start, new RegExp(start + rest, "g")])),
  ...Object.fromEntries(
    marked.flatMap(([name, sign, pattern]) => [
      [`${name} sign`, sign],
      [`${name} marked`, pattern],
    ]),
  ),
};
