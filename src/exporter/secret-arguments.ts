/**
 * Secrets in command lines and lists of arguments.
 *
 * The time is linear in the size of any text: every repetition is bounded, and no repetition contains another one.
 */
import { redacted } from "./secret-tokens.js";

/** Names of options of command lines that have secrets. */
const optionNames =
  "(?:password|passwd|passphrase|storepass|keypass|secret|token|api-?key|access-?key|cookie)";

/** An option of a command line that has a secret: `--password hunter2`, also in a list of arguments. */
const flag = new RegExp(
  String.raw`(${optionNames}(?<=(?:^|[\s"'])--?[a-z-]{0,50})(?:\s{1,3}|=|\\{0,63}["']\s{0,3},\s{0,40}\\{0,63})["']?)(?![-$<{%"'\s\\]|\[redacted)[^\s"'\\]{3,4096}`,
  "gi",
);
const secretOption = new RegExp(`^--?[a-z-]{0,40}${optionNames}$`, "i");

/** Whether the argument after this one is secret. */
export const isSecretOption = (argument: unknown): boolean =>
  typeof argument === "string" && argument.length < 60 && secretOption.test(argument);

/** Commands whose option of one letter has a password, and that option: all before the password. */
const passwordOptions = [
  ["(?:mysql|mariadb)[a-z-]{0,12}|7z[ar]?", "-p"],
  [
    "sshpass|(?:docker|podman|nerdctl|buildah|skopeo|oras|helm registry|oc|az|cf) login|mongo[a-z]{0,10}|cqlsh|rabbitmqadmin",
    "-p[ =]{0,3}",
  ],
  ["redis-cli", "-a[ =]{1,3}"],
  ["ldap[a-z]{3,8}", "-w[ =]{0,3}"],
  ["sqlcmd|bcp|zip|unzip", "-P[ =]{0,3}"],
  ["openssl", "-pass(?:in|out)?[ =]{1,3}pass:"],
  ["https?|xh", "(?:-a|--auth)[ =]{1,3}[\"']?[^\\s:\"'$]{1,100}:"],
]
  .map(([command, option]) => String.raw`(?:${command})\s(?:(?:[^\r\n;|&]|\\\r?\n){0,300}?\s)?${option}`)
  .join("|");
const commandPassword = new RegExp(
  String.raw`(?<![\w.-])((?:${passwordOptions})["']?)(?![-/.$<{%"'\s]|\[redacted)[^\s"'\\]{2,300}`,
  "g",
);

/** The user of `curl` with a password. No numbers: `docker run -u 1000:1000`. */
const userFlag =
  /(\s(?:-u|--user)[\s=]{1,3}["']?[^\s:"'$]{1,100}:)(?!\d{1,9}(?:\s|$)|[$"'\s]|\[redacted)[^\s"']{1,300}/g;

/** @internal All expressions, for the test of the rules at the top of this file. */
export const argumentExpressions: Readonly<Record<string, RegExp>> = { flag, userFlag, commandPassword };

/** Replaces each password and token in the command lines of a text. */
export function redactArguments(text: string): string {
  let shown = text;
  const hasOption = mayHaveOption(shown);
  if (hasOption || shown.includes("--")) shown = shown.replace(flag, `$1${redacted("secret")}`);
  if (hasOption && / -(?:[pawP]|-auth)/.test(shown))
    shown = shown.replace(commandPassword, `$1${redacted("password")}`);
  if (hasOption && (shown.includes(" -u") || shown.includes("--user")))
    shown = shown.replace(userFlag, `$1${redacted("password")}`);
  return shown;
}

/** Whether a hyphen after a space begins an option. An expression takes five times as long. */
function mayHaveOption(text: string): boolean {
  for (let at = text.indexOf(" -"); at >= 0; at = text.indexOf(" -", at + 2))
    if (/[a-zA-Z-]/.test(text.charAt(at + 2))) return true;
  return false;
}
