/** What the built-in redactor removes, what it leaves, and how long it needs for the worst texts. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { redactSecrets } from "../../src/exporter/redact-secrets.js";
import { expressions } from "../../src/exporter/secret-patterns.js";
import { CrashSafeFileError } from "../../src/platform/errors.js";

const redact = redactSecrets();
const shown = (value: unknown, field = "output") => redact(value, field);

/**
 * A text of letters and digits, equal for equal seeds. Composed here, so that no secret scanner reports this file.
 */
const random = (length: number, seed = 1, alphabet = "base64url" as "base64url" | "hex"): string =>
  Array.from({ length: Math.ceil(length / 32) }, (_, part) =>
    createHash("sha256").update(`${seed} ${part}`).digest(alphabet).replace(/[_-]/g, "x"),
  )
    .join("")
    .slice(0, length);
const upper = (length: number) => random(length).toUpperCase();

const pem = (kind: string, end = true) =>
  [
    `-----BEGIN ${kind}-----`,
    random(64, 1),
    random(64, 2),
    random(40, 3),
    ...(end ? [`-----END ${kind}-----`] : []),
  ].join("\n");

/** JSON in JSON in JSON, this many times. */
const nested = (value: unknown, levels: number): string =>
  levels === 0 ? (value as string) : nested(JSON.stringify(value), levels - 1);

/** Each with the secret itself, of which nothing may be left, and the kind that the marker names. */
const secrets: [what: string, text: string, secret: string, kind: string][] = [
  ["an AWS access key id", `id: AKIA${upper(16)}, region`, `AKIA${upper(16)}`, "aws-access-key"],
  ["a temporary AWS key id", `(ASIA${upper(16)})`, `ASIA${upper(16)}`, "aws-access-key"],
  ["AWS credentials", `[default]\naws_secret_access_key = ${random(38)}/+\n`, random(38), "secret"],
  ["AWS credentials in JSON", `{"SecretAccessKey": "${random(40)}"}`, random(40), "secret"],
  ["an AWS session token", `export AWS_SESSION_TOKEN="${random(300)}"`, random(300), "secret"],
  ["a GCP API key", `https://maps.example/api?key=AIza${random(35)}&v=3`, random(35), "google-key"],
  ["a GCP OAuth token", `ya29.${random(80)}`, random(80), "google-key"],
  [
    "a GCP service account",
    JSON.stringify({ private_key: pem("PRIVATE KEY"), client_email: "a@b.c" }),
    random(64, 2),
    "private-key",
  ],
  [
    "an Azure account key",
    `DefaultEndpointsProtocol=https;AccountName=a;AccountKey=${random(86)}==;EndpointSuffix=x`,
    random(86),
    "secret",
  ],
  [
    "an Azure bus key",
    `Endpoint=sb://a.example/;SharedAccessKeyName=Root;SharedAccessKey=${random(43)}=`,
    random(43),
    "secret",
  ],
  [
    "an Azure SAS signature",
    `https://a.example/c?sv=2022&sig=${random(43)}%3D&se=2026`,
    random(43),
    "sas-signature",
  ],
  ["a GitHub token", `git clone https://ghp_${random(36)}@github.com/a/b`, random(36), "github-token"],
  ["a fine-grained GitHub token", `token github_pat_${random(22)}_${random(59)}`, random(59), "github-token"],
  ["a GitLab token", `glpat-${random(20)}`, random(20), "gitlab-token"],
  ["a Slack token", `xoxb-123456789012-${random(24)}`, random(24), "slack-token"],
  ["a Stripe key", `sk_live_${random(24)}`, random(24), "stripe-key"],
  ["an Anthropic key", `"sk-ant-api03-${random(80)}-AA"`, random(80), "anthropic-key"],
  ["an OpenAI project key", `OPENAI_API_KEY=sk-proj-${random(100)}`, random(100), "openai-key"],
  ["an OpenAI key", `key is sk-${random(48)}.`, random(48), "openai-key"],
  ["an npm token", `//registry.npmjs.org/:_authToken=npm_${random(36)}`, random(36), "npm-token"],
  ["a HuggingFace token", `login(token="hf_${random(34)}")`, random(34), "huggingface-token"],
  ["a JWT", `eyJ${random(30)}.eyJ${random(90)}.${random(43)}`, random(43), "jwt"],
  ["a bearer token in a header", `Authorization: Bearer ${random(40)}`, random(40), "authorization"],
  ["a bearer token in curl", `curl -H "authorization: bearer ${random(40)}" x`, random(40), "authorization"],
  [
    "basic authorization",
    `Authorization: Basic ${Buffer.from("user:hunter2").toString("base64")}`,
    "dXNlcjpodW50ZXIy",
    "authorization",
  ],
  [
    "authorization in an object",
    `{ headers: { "Authorization": "Token ${random(40)}" } }`,
    random(40),
    "secret",
  ],
  ["a cookie header", `Cookie: theme=dark; sid=${random(32)}; a=b\nAccept: */*`, random(32), "cookie"],
  ["a private key", `before\n${pem("RSA PRIVATE KEY")}\nafter`, random(64, 2), "private-key"],
  ["an encrypted private key", pem("ENCRYPTED PRIVATE KEY"), random(40, 3), "private-key"],
  ["an SSH key", pem("OPENSSH PRIVATE KEY"), random(64), "private-key"],
  ["a PGP key", pem("PGP PRIVATE KEY BLOCK"), random(64), "private-key"],
  ["a private key without its end", pem("EC PRIVATE KEY", false), random(40, 3), "private-key"],
  ["a private key in JSON, cut off", JSON.stringify(pem("PRIVATE KEY", false)), random(40, 3), "private-key"],
  [
    "a private key in JSON in JSON",
    JSON.stringify(JSON.stringify({ k: pem("PRIVATE KEY") })),
    random(64, 2),
    "private-key",
  ],
  ["a connection string", "postgres://app:s3cr3t-pw@db.example:5432/app?ssl=1", "s3cr3t-pw", "password"],
  ["one with @ in its password", "mysql://root:p@ss@w0rd@localhost/x", "ss@w0rd", "password"],
  ["one without a user", "redis://:hunter2hunter2@cache:6379", "hunter2hunter2", "password"],
  ["a connection string of keys", "host=db user=app password=hunter2 dbname=x", "hunter2", "secret"],
  [".env", `A=1\nSECRET_KEY=correcthorse\nB=2`, "correcthorse", "secret"],
  [
    ".env with export and quotes",
    `export DB_PASSWORD='correct horse 1'`.replaceAll(" horse 1", "horse1"),
    "correcthorse1",
    "secret",
  ],
  [".env in double quotes", `STRIPE_WEBHOOK_SECRET="abc"`, "abc", "secret"],
  ["a line of rails", `SECRET_KEY_BASE=${random(128, 1, "hex")}`, random(128, 1, "hex"), "secret"],
  ["YAML", `db:\n  password: hunter2!\n  user: app`, "hunter2!", "secret"],
  ["JSON in a text", `answer: {"user":"a","apiKey":"${random(20)}","n":1}`, random(20), "secret"],
  [
    "escaped JSON in a text",
    JSON.stringify(JSON.stringify({ api_key: random(20), next: 1 })),
    random(20),
    "secret",
  ],
  [
    "JSON escaped twice",
    JSON.stringify(JSON.stringify(JSON.stringify({ clientSecret: "abc-def" }))),
    "abc-def",
    "secret",
  ],
  ["code", `const client = new Client({ apiKey: "${random(24)}" });`, random(24), "secret"],
  ["python", `password = "hunter2"`, "hunter2", "secret"],
  ["a query", `GET /x?access_token=${random(30)}&page=2`, random(30), "secret"],
  ["a Ruby hash", `:password => "hunter2"`, "hunter2", "secret"],
  ["JSON nested six times", nested({ password: "hunter2", next: 1 }, 6), "hunter2", "secret"],
  ["a list in JSON nested four times", nested([{ a: [{ apiKey: random(24) }] }], 4), random(24), "secret"],
  ["a value with an escaped quote", String.raw`{"password":"abc\"-SECRET","n":1}`, "-SECRET", "secret"],
  [
    "a value with a quote, nested three times",
    nested({ password: 'abc"-SECRET', n: 1 }, 3),
    "-SECRET",
    "secret",
  ],
  ["a value that ends in a backslash", JSON.stringify({ password: "SECRET\\", n: 1 }), "SECRET", "secret"],
  ["a variable with an escaped quote", String.raw`API_KEY="a\"SECRET" B=1`, "SECRET", "secret"],
  ["doubled quotes of YAML", "password: 'it''s-SECRET'\nb: 1", "SECRET", "secret"],
  ["words in JSON", '{"clientSecret":"two words here","n":1}', "two words here", "secret"],
  ["words in a variable", 'export API_KEY="abc def ghi"', "abc def ghi", "secret"],
  ["a bearer without digits", "Authorization: Bearer mysecrettoken", "mysecrettoken", "secret"],
  [
    "a bearer without digits in curl",
    'curl -H "Authorization: Bearer AbCdEfGhIjKlMnOpQrStUv" x',
    "AbCdEf",
    "secret",
  ],
  ["short basic authorization", "Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz", "secret"],
  ["an option of a command", "login --password hunter2 now", "hunter2", "secret"],
  ["an option with =", "deploy --api-token=abcd1234 now", "abcd1234", "secret"],
  ["the user of curl", "curl -u ada:hunter2 https://a.example", "hunter2", "password"],
  [
    "a member of the environment",
    'os.environ["API_KEY"] = "abc123def456ghi789"',
    "abc123def456ghi789",
    "secret",
  ],
  ["a number in JSON", '{"user":"a","password":12345678,"n":1}', "12345678", "secret"],
  ["a number in nested JSON", nested({ password: 12345678 }, 3), "12345678", "secret"],
  ["a number in YAML", "user: a\npassword: 12345678\nport: 80", "12345678", "secret"],
  ["a pair in JSON", '[{"name":"password","value":"hunter2"},{"name":"n","value":"1"}]', "hunter2", "secret"],
  ["a pair in nested JSON", nested({ key: "DB_PASSWORD", value: "hunter2" }, 3), "hunter2", "secret"],
  [
    "a pair in YAML",
    "env:\n  - name: DB_PASSWORD\n    value: hunter two\n  - name: B",
    "hunter two",
    "secret",
  ],
  ["a word for a password", "user: bob\npassword: swordfish\nhost: db", "swordfish", "secret"],
  ["a word at the end", "The login is bob, password: swordfish\nBye", "swordfish", "secret"],
  ["a Vault token", `VAULT: hvs.${random(90)}`, random(90), "vault-token"],
  ["a DigitalOcean token", `dop_v1_${random(64, 1, "hex")}`, random(64, 1, "hex"), "digitalocean-token"],
  ["a Supabase token", `sbp_${random(40, 1, "hex")}`, random(40, 1, "hex"), "supabase-key"],
  ["a Supabase secret key", `sb_secret_${random(31)}`, random(31), "supabase-key"],
  ["a restricted Stripe key", `rk_live_${random(24)}`, random(24), "stripe-key"],
  ["a Slack webhook", `https://hooks.slack.com/services/T0/B0/${random(24)}`, random(24), "webhook"],
  ["a Replicate token", `r8_${random(37)}`, random(37), "replicate-token"],
  ["an xAI key", `xai-${random(80)}`, random(80), "xai-key"],
  ["a Perplexity key", `pplx-${random(48)}`, random(48), "perplexity-key"],
  ["a Linear key", `lin_api_${random(40)}`, random(40), "linear-key"],
  ["a Notion token", `ntn_${random(46)}`, random(46), "notion-token"],
  ["a Grafana token", `glsa_${random(41)}`, random(41), "grafana-token"],
  [
    "a Postman key",
    `PMAK-${random(24, 1, "hex")}-${random(34, 2, "hex")}`,
    random(34, 2, "hex"),
    "postman-key",
  ],
  ["a Doppler token", `dp.pt.${random(43)}`, random(43), "doppler-token"],
  ["a Twilio key", `SK${random(32, 1, "hex")}`, random(32, 1, "hex"), "twilio-key"],
  ["an age key", `AGE-SECRET-KEY-1${upper(58)}`, upper(58), "age-key"],
  ["a connection string of MongoDB", "mongodb+srv://app:hunter2@c.example/x", "hunter2", "password"],
  ["a connection string of AMQP", "amqps://app:hunter2@mq.example/v", "hunter2", "password"],
  ["a connection string of Oracle", "jdbc:oracle:thin:app/hunter2@db.example:1521/x", "hunter2", "password"],
  ["an attached password of mysql", "mysql -u root -phunter2 -h db app", "hunter2", "password"],
  ["a dump of MariaDB", "mariadb-dump \\\n  -uroot \\\n  -p'hunter2' app > a.sql", "hunter2", "password"],
  ["sshpass", "sshpass -p hunter2 ssh ada@a.example", "hunter2", "password"],
  ["an attached password of sshpass", "SSH: sshpass -phunter2 ssh ada@a.example", "hunter2", "password"],
  ["the variable of sshpass", "SSHPASS=hunter2 sshpass -e ssh a", "hunter2", "secret"],
  ["a login of Docker", "docker login -u ada -p hunter2 ghcr.io", "hunter2", "password"],
  ["the shell of MongoDB", "mongosh -u ada -p hunter2 --host db", "hunter2", "password"],
  ["redis-cli", "redis-cli -h cache -a hunter2 ping", "hunter2", "password"],
  ["a search in LDAP", "ldapsearch -x -D cn=admin -w hunter2 -b dc=x", "hunter2", "password"],
  ["sqlcmd", "sqlcmd -S db -U sa -P hunter2x", "hunter2x", "password"],
  ["openssl", "openssl rsa -in k.pem -passin pass:hunter2", "hunter2", "password"],
  ["httpie", "http -a ada:hunter2 https://a.example", "hunter2", "password"],
  ["keytool", "keytool -list -storepass hunter2 -keystore k", "hunter2", "secret"],
  ["a cookie of curl", "curl --cookie 'sid=hunter2' https://a.example", "hunter2", "secret"],
  [".netrc", "machine a.example login ada password hunter2", "hunter2", "password"],
  [".netrc in lines", "machine a.example\n  login ada\n  password hunter2\n", "hunter2", "password"],
  [".netrc in JSON", JSON.stringify("machine a\n\tlogin b\n\tpassword hunter2\n"), "hunter2", "password"],
  [".pgpass", "db.example:5432:app:ada:hunter2\nx", "hunter2", "password"],
  [
    "the configuration of Docker",
    JSON.stringify({ auths: { "ghcr.io": { auth: Buffer.from("ada:pass").toString("base64") } } }, null, 2),
    Buffer.from("ada:pass").toString("base64"),
    "secret",
  ],
  [
    "an _auth of npm",
    `//a.example/:_auth=${Buffer.from("ada:pass").toString("base64")}`,
    "YWRhOnBhc3M",
    "secret",
  ],
  ["a password of npm", "//a.example/:_password=aHVudGVyMg\n", "aHVudGVyMg", "secret"],
  ["a pass in JSON", '{"user":"ada","pass":"hunter2"}', "hunter2", "secret"],
  ["a variable of SMTP", "SMTP_PASS=hunter", "hunter", "secret"],
  ["a Telegram token", `12345678:AA${random(33)}`, random(33), "telegram-token"],
  [
    "a URL of Telegram",
    `https://api.telegram.org/bot123456789:AA${random(33)}/getMe`,
    random(33),
    "telegram-token",
  ],
  ["a Discord token", `M${random(23)}.G${random(5)}.${random(38, 2)}`, random(38, 2), "discord-token"],
  ["a Discord webhook", `https://discord.com/api/webhooks/123456789/${random(68)}`, random(68), "webhook"],
  ["a webhook of Teams", `https://a.webhook.office.com/webhookb2/${random(36)}@b`, random(36), "webhook"],
  ["a Mailgun key", `key-${random(32, 1, "hex")}`, random(32, 1, "hex"), "mailgun-key"],
  [
    "a new Mailgun key",
    `${random(32, 1, "hex")}-${random(8, 2, "hex")}-${random(8, 3, "hex")}`,
    random(32, 1, "hex"),
    "mailgun-key",
  ],
  ["a Mailchimp key", `${random(32, 1, "hex")}-us12`, random(32, 1, "hex"), "mailchimp-key"],
  ["a Brevo key", `xkeysib-${random(64, 1, "hex")}-${random(16)}`, random(64, 1, "hex"), "brevo-key"],
  ["a Resend key", `re_${random(8)}_${random(24, 2)}`, random(24, 2), "resend-key"],
  ["a Square secret", `sq0csp-${random(43)}`, random(43), "square-token"],
  ["a Square token", `EAAA${random(60)}`, random(60), "square-token"],
  ["a Shopify token", `shpat_${random(32, 1, "hex")}`, random(32, 1, "hex"), "shopify-token"],
  ["a Heroku key", `HRKU-${random(40)}`, random(40), "heroku-key"],
  ["a Heroku key by name", "HEROKU_API_KEY=01234567-89ab-cdef-0123-456789abcdef", "89ab-cdef", "secret"],
  ["a Cloudflare token", `cfut_${random(48)}`, random(48), "cloudflare-token"],
  ["a Cloudflare token by name", `CLOUDFLARE_API_TOKEN=${random(40)}`, random(40), "secret"],
  ["an Azure client secret", `abc8Q~${random(34)}`, random(34), "azure-secret"],
  ["a Dropbox token", `sl.${random(130)}`, random(130), "dropbox-token"],
  ["an Airtable token", `pat${random(14)}.${random(64, 2, "hex")}`, random(64, 2, "hex"), "airtable-token"],
  ["an Atlassian token", `ATATT3${random(180)}`, random(180), "atlassian-token"],
  ["a Docker token", `dckr_pat_${random(27)}`, random(27), "docker-token"],
  ["a Sentry token", `sntryu_${random(64, 1, "hex")}`, random(64, 1, "hex"), "sentry-token"],
  [
    "a DSN of Sentry",
    `https://${random(32, 1, "hex")}@o1.ingest.sentry.io/2`,
    random(32, 1, "hex"),
    "password",
  ],
  ["a New Relic key", `NRAK-${upper(27)}`, upper(27), "newrelic-key"],
  ["a New Relic licence", `${random(36, 1, "hex")}NRAL`, random(36, 1, "hex"), "newrelic-key"],
  ["a Datadog key", `DD-API-KEY: ${random(32, 1, "hex")}`, random(32, 1, "hex"), "secret"],
  [
    "a Datadog application key",
    `dd-application-key: ${random(40, 1, "hex")}`,
    random(40, 1, "hex"),
    "secret",
  ],
  ["an older Notion token", `secret_${random(43)}`, random(43), "notion-token"],
  ["an OAuth token of Linear", `lin_oauth_${random(64)}`, random(64), "linear-key"],
  ["an OpenRouter key", `sk-or-v1-${random(64, 1, "hex")}`, random(64, 1, "hex"), "openai-key"],
  ["a Groq key", `gsk_${random(52)}`, random(52), "groq-key"],
  ["a PyPI token", `pypi-${random(150)}`, random(150), "pypi-token"],
  ["a SendGrid key", `SG.${random(22)}.${random(43, 2)}`, random(43, 2), "sendgrid-key"],
  [
    "a LangSmith key",
    `lsv2_pt_${random(32, 1, "hex")}_${random(10, 2, "hex")}`,
    random(32, 1, "hex"),
    "langsmith-key",
  ],
  ["a Langfuse key", "sk-lf-01234567-89ab-cdef-0123-456789abcdef", "89ab-cdef", "langfuse-key"],
  ["a Terraform token", `${random(14)}.atlasv1.${random(67, 2)}`, random(67, 2), "terraform-token"],
  ["a Tailscale key", `tskey-auth-${random(30)}`, random(30), "tailscale-key"],
  ["a Neon password", `npg_${random(12)} `, random(12), "neon-key"],
  ["a key of PuTTY", `Private-Lines: 2\n${random(64)}\n${random(40, 2)}\n`, random(40, 2), "private-key"],
  [
    "digest authorization",
    'Authorization: Digest username="ada", realm="x", response="6629fae4"',
    "6629fae4",
    "authorization",
  ],
  [
    "digest authorization in curl",
    `curl -H 'Authorization: Digest username="ada", response="6629fae4"' https://a.example`,
    "6629fae4",
    "authorization",
  ],
  [
    "a signature of AWS",
    "Authorization: AWS4-HMAC-SHA256 Credential=ABC/20260101, SignedHeaders=host, Signature=fe5f80\nHost: a",
    "fe5f80",
    "authorization",
  ],
  ["an API key for authorization", "authorization: ApiKey hunter", "hunter", "authorization"],
  ["negotiated authorization", "Proxy-Authorization: Negotiate YIIabcdef", "YIIabcdef", "authorization"],
  ["any other scheme", "Authorization: Acme-Scheme abc123", "abc123", "authorization"],
  ["a header of letters", 'curl -H "X-Api-Key: hunterhunter" x', "hunterhunter", "secret"],
  ["a token in the place of the user", `https://${random(24)}1@git.example/a.git`, random(24), "password"],
  ["a connection string of ADO", "Server=db;User Id=app;Pwd=hunter2;Encrypt=true", "hunter2", "secret"],
];

describe("P9 redactSecrets removes", () => {
  test.for(secrets)("%s", ([, text, secret, kind]) => {
    const out = String(shown(text));
    expect(out).toContain(`[redacted:${kind}]`);
    expect(out).not.toContain(secret);
    expect(shown(out)).toBe(out);
    // At any place of a value.
    expect(JSON.stringify(shown({ a: [{ b: `some ${text} more` }] }))).not.toContain(secret);
  });

  test("a secret anywhere in a text", () => {
    for (const secret of [`AKIA${upper(16)}`, `SG.${random(16)}.${random(16)}`, `ya29.${random(20)}`])
      for (let at = 0; at < 40; at++)
        expect(shown(`${" ".repeat(at)}${secret} and more`), `${at}`).not.toContain(secret);
  });

  test("only the secret, and leaves the text around it", () => {
    expect(shown("postgres://app:hunter2@db/x")).toBe("postgres://app:[redacted:password]@db/x");
    expect(shown(`export API_KEY="${random(20)}" # comment`)).toBe(
      'export API_KEY="[redacted:secret]" # comment',
    );
    expect(shown(`{"apiKey":"${random(20)}","b":1}`)).toBe('{"apiKey":"[redacted:secret]","b":1}');
    expect(shown(`a\n${pem("PRIVATE KEY")}\nb`)).toBe("a\n[redacted:private-key]\nb");
    expect(shown(`${pem("PRIVATE KEY")}\n${pem("PRIVATE KEY", false)}`)).toBe(
      "[redacted:private-key]\n[redacted:private-key]",
    );
  });

  test("values whose name marks them as secret, in objects, lists and attributes", () => {
    const value = {
      password: "p",
      nested: {
        "X-Api-Key": "k",
        clientSecret: ["a", "b"],
        Authorization: "Basic x y",
        "set-cookie": ["sid=1"],
      },
      refresh_token: "t",
      private_key: "abc",
      list: [{ passphrase: "correct horse battery staple" }],
    };
    const gone = "[redacted:secret]";
    expect(shown(value)).toEqual({
      password: gone,
      nested: { "X-Api-Key": gone, clientSecret: [gone, gone], Authorization: gone, "set-cookie": [gone] },
      refresh_token: gone,
      private_key: gone,
      list: [{ passphrase: gone }],
    });
    expect(redact("x", "attributes.http.request.header.authorization")).toBe(gone);
    expect(redact(["x"], "attributes.db.password")).toEqual([gone]);
    expect(redact(random(20), "attributes.session.token")).toBe(gone);
    expect(redact("x", "attributes.gen_ai.tool.name")).toBe("x");
  });

  test("values of pairs, and numbers", () => {
    const gone = "[redacted:secret]";
    expect(
      shown([
        { name: "password", value: "hunter2" },
        { key: "X-Api-Key", val: ["k"] },
      ]),
    ).toEqual([
      { name: "password", value: gone },
      { key: "X-Api-Key", val: [gone] },
    ]);
    expect(shown({ value: "hunter2", name: "DB_PASSWORD" })).toEqual({ value: gone, name: "DB_PASSWORD" });
    expect(shown({ name: "color", value: "red" })).toEqual({ name: "color", value: "red" });
    expect(shown({ password: 12345678, pwd: 1234n, secret: 7 })).toEqual({
      password: gone,
      pwd: gone,
      secret: 7,
    });
  });

  test("arguments after options with secret names, and pairs in base64", () => {
    const gone = "[redacted:secret]";
    expect(shown(["deploy", "--api-token", "hunter2", "--password", "--dry-run", "--secret", 1])).toEqual([
      ...["deploy", "--api-token", gone, "--password", "--dry-run", "--secret", 1],
    ]);
    expect(shown('["deploy", "--password", "hunter2", "now"]')).toBe(
      '["deploy", "--password", "[redacted:secret]", "now"]',
    );
    expect(shown(nested(["--token", "hunter2"], 3))).not.toContain("hunter2");
    expect(shown({ auths: { a: { auth: "YWRhOnBhc3M=" } } })).toEqual({ auths: { a: { auth: gone } } });
  });

  test("lists and objects with secret names", () => {
    const gone = "[redacted:secret]";
    const value = {
      passwords: ["hunter2"],
      secrets: { db: "x", port: 1 },
      credentials: { user: "a", pass: "p" },
    };
    expect(shown(value)).toEqual({
      passwords: [gone],
      secrets: { db: gone, port: 1 },
      credentials: { user: gone, pass: gone },
    });
  });

  test("only the secret, where a quote is inside of it", () => {
    expect(shown(String.raw`{"password":"a\"b","next":"c"}`)).toBe(
      '{"password":"[redacted:secret]","next":"c"}',
    );
    expect(shown("password: 'it''s' # comment")).toBe("password: '[redacted:secret]' # comment");
    expect(shown('{"password":"","next":"c"}')).toBe('{"password":"","next":"c"}');
    expect(shown('{"user":"password","next":"c"}')).toBe('{"user":"password","next":"c"}');
  });

  test("keys of members that have the shape of a secret", () => {
    expect(shown({ [`AKIA${upper(16)}`]: 1 })).toEqual({ "[redacted:aws-access-key]": 1 });
  });
});

describe("redactSecrets leaves", () => {
  test.for<[what: string, value: unknown]>([
    ["a git SHA", `commit ${random(40, 1, "hex")}`],
    ["a UUID", "id=123e4567-e89b-42d3-a456-426614174000"],
    ["a picture", `data:image/png;base64,${Buffer.from(random(6_000)).toString("base64")}`],
    ["an SRI hash", `"integrity": "sha512-${random(86)}=="`],
    [
      "types",
      "function login(user: string, password: string, token: Token, secret?: Buffer): Promise<string>",
    ],
    ["code", "const token = await getToken(); const password = form.password; secret = config.secret;"],
    [
      "more code",
      "if (token === undefined) throw x; this.apiKey = apiKey; password=password, key=lambda x: x[1]",
    ],
    [
      "code that reads variables",
      'const API_KEY = process.env.API_KEY; password = os.environ["PASSWORD"]; key = getKey(1)',
    ],
    [
      "shell variables",
      `curl -H "Authorization: Bearer $TOKEN" -u "$USER:${"$"}{PASSWORD}" && export API_KEY=$OTHER`,
    ],
    ["a connection string of variables", `postgres://${"$"}{USER}:${"$"}{PASSWORD}@${"$"}{HOST}/db`],
    ["placeholders", "API_KEY=<your key> password: {{ password }} TOKEN=**** SECRET=%s"],
    [
      "usage",
      { input_tokens: 1200, total_tokens: "12345", max_tokens: 4096, tokens: { input: 1 }, token_count: 3 },
    ],
    ["usage as text", "MAX_TOKENS=4096 total_tokens: 12345 token_limit=200000 tokens=12"],
    ["logprobs", [{ token: "Hello", logprob: -0.3 }]],
    [
      "a JSON schema",
      { properties: { password: { type: "string", description: "your password" } }, required: ["password"] },
    ],
    [
      "prose",
      "The password is required. Bearer authentication and basic understanding of tokens: read the secret garden.",
    ],
    ["numbers and the like", { password: 5, token: null, secret: true, apiKey: undefined }],
    [
      "urls",
      "http://localhost:3000/@vite/client https://example.com:8443/a@b ssh://git@github.com:22/a git@github.com:a/b",
    ],
    ["paths", "src/secret-patterns.ts:12 token.ts key=src/a.ts sk-circle-fade-dot-animation-container"],
    [
      "a public key",
      "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@host",
    ],
    [
      "cursors and cache keys",
      { nextPageToken: random(40), cacheKey: random(40), primary_key: "id1234567890123456", key: "a" },
    ],
    ["css and html", '<input type="password" name="token" id="secret"> .token { color: red }'],
    ["pairs without a secret", '{"name":"city","value":"Paris"} - name: CITY\n  value: Paris\n'],
    [
      "the user of a container",
      "docker run -u 1000:1000 --user 1000:1000 image --token $TOKEN --password-stdin",
    ],
    [
      "options of one letter that are no passwords",
      "mysql -h db -P 3306 -p app; mkdir -p a/b; docker run -p 80:80 x; docker login -p $PASS; ps -p 12; redis-cli -h a",
    ],
    ["a port and its times", "listening on :5432, 12:34:56:78 aa:bb:10:cc:dd:ee a.ts:12:34 ::1:5432"],
    [
      "headers in code",
      "authorization: string; Authorization: only admins may read; headers.authorization = x",
    ],
    ["tests that pass", '{"pass": true, "fail": 0} 12 passed, pass: 12 bypass: yes "auth": {"type": "none"}'],
    ["a schema with auth", { auth: "none", basic_auth: "optional", authors: ["a"], pass: 12 }],
    ["prose about machines", "The machine is slow. A virtual machine login needs a password there."],
    ["ids of a trace", `00-${random(32, 1, "hex")}-${random(16, 2, "hex")}-01`],
    ["a key of a cache", `restored cache-key-${random(32, 1, "hex")} and sha256-${random(64, 1, "hex")}`],
    ["an option of fetch", "fetch(url, { credentials: 'include' }); f({ credentials: \"same-origin\" })"],
    ["a list of required fields", { required: ["password", "username"], name: "form", value: "x" }],
    [
      "dates and versions",
      "2026-01-02T03:04:05Z v1.2.3-beta.4+build.5 eyJust a word, sk-8 hf_cache npm_config_x glpat",
    ],
  ])("%s", ([, value]) => {
    const before = structuredClone(value);
    expect(shown(value)).toBe(value);
    expect(value).toEqual(before);
  });

  test("the sources of this project, except those about secrets", () => {
    const names = readdirSync("src", { recursive: true, encoding: "utf8" }).filter(
      (path) => /\.c?ts$/.test(path) && !/secret-(?:arguments|patterns|tokens)\.ts$/.test(path),
    );
    const changed = names.flatMap((name) => {
      const text = readFileSync(`src/${name}`, "utf8");
      return shown(text) === text ? [] : [name];
    });
    expect(changed).toEqual([]);
  });
});

describe("P6 redactSecrets and values of any kind", () => {
  test("changes no value it gets, and copies none that needs no change", () => {
    const quiet = { a: ["b"] };
    const value = Object.freeze({ password: "p", quiet, list: Object.freeze(["x", `AKIA${upper(16)}`]) });
    const out = shown(value) as { quiet: unknown };
    expect(out).toEqual({
      password: "[redacted:secret]",
      quiet: { a: ["b"] },
      list: ["x", "[redacted:aws-access-key]"],
    });
    expect(out.quiet).toBe(quiet);
  });

  test("reads what would be written of maps, dates, errors, and objects with toJSON", () => {
    const secret = `AKIA${upper(16)}`;
    for (const value of [
      new Map([["k", secret]]),
      new Set([secret]),
      new Error(secret),
      { toJSON: () => ({ secret }) },
    ]) {
      const text = JSON.stringify(shown(value));
      expect(text).toContain("[redacted:");
      expect(text).not.toContain(secret);
    }
  });

  test("lets nothing unread pass from circles, great depth, or too many values", () => {
    const circle: Record<string, unknown> = { password: "p" };
    Object.assign(circle, { one: circle, two: circle });
    expect(JSON.stringify(shown(circle))).not.toContain('"p"');
    let deep: unknown = `AKIA${upper(16)}`;
    for (let i = 0; i < 10_000; i++) deep = [deep];
    expect(JSON.stringify(shown(deep))).toContain("[redacted:not looked at]");
    const many = Array.from({ length: 120_000 }, () => [`AKIA${upper(16)}`]);
    expect(JSON.stringify(shown(many))).not.toContain(`AKIA${upper(16)}`);
  });

  test("pollutes no prototype", () => {
    const value = JSON.parse(
      '{"__proto__": {"polluted": true, "password": "p"}, "constructor": {"secret": "s"}}',
    );
    const out = shown(value) as object;
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    expect(Object.keys(out)).toEqual(["__proto__", "constructor"]);
    expect(JSON.stringify(out)).not.toContain('"p"');
  });
});

describe("options of redactSecrets", () => {
  test("add patterns and keys", () => {
    const own = redactSecrets({
      patterns: [/acme-\d+/, { name: "badge", pattern: /badge (\w+)/y }, /z*/],
      keys: ["Badge_Number", /^x-acme-/],
    });
    expect(own("acme-12 and acme-34, badge seven", "output")).toBe(
      "[redacted:custom] and [redacted:custom], [redacted:badge]",
    );
    for (const text of [
      '{"badgeNumber":"a42x"}',
      "badge_number: hunter",
      "badge-number=A-12",
      "BADGE.NUMBER = '7'",
    ])
      expect(own(text, "output"), text).toMatch(/badge.?number["']?\s*[:=]\s*["']?\[redacted:secret\]/i);
    expect(own("the badgeNumber is printed", "output")).toBe("the badgeNumber is printed");
    expect(own({ badgeNumber: "7", "x-acme-id": "8", other: "9" }, "input")).toEqual({
      ...{ badgeNumber: "[redacted:secret]", "x-acme-id": "[redacted:secret]", other: "9" },
    });
  });

  test.for<[options: unknown, message: RegExp]>([
    [{ patterns: "x" }, /patterns is "x", and must be an array/],
    [{ patterns: ["x"] }, /patterns is "x", and must be regular expressions/],
    [{ patterns: [null] }, /patterns is null/],
    [{ patterns: [{ name: "", pattern: /x/ }] }, /patterns is "", and must be named/],
    [{ patterns: [{ name: "a]b", pattern: /x/ }] }, /patterns is "a]b"/],
    [{ keys: {} }, /keys is .*array/],
    [{ keys: ["_-"] }, /keys is "_-"/],
    [{ keys: [5] }, /keys is 5/],
  ])("%o are invalid, and the error names the option", ([options, message]) => {
    expect(() => redactSecrets(options as never)).toThrow(message);
    expect(() => redactSecrets(options as never)).toThrow(CrashSafeFileError);
  });
});

describe("P8 redactSecrets is linear", () => {
  test("by the shape of its expressions: all repetitions are bounded, and none contains another", () => {
    expect(Object.keys(expressions).length).toBeGreaterThan(20);
    for (const [from, expression] of Object.entries(expressions)) {
      const plain = expression.source.replace(/\\./g, "e").replace(/\[[^\]]*\]/g, "c");
      const isAnchored = /^\^/.test(plain) || /\$$/.test(plain);
      if (!isAnchored) expect(plain, from).not.toMatch(/[*+]|\{\d+,\}/);
      let groups = plain;
      for (let before = ""; before !== groups; ) {
        before = groups;
        expect(groups, from).not.toMatch(/\([^()]*[*+}][^()]*\)(?:[*+]|\{\d+,(?!1\}))/);
        groups = groups.replace(/\((?:\?(?:[:=!]|<[=!]))?([^()]*)\)/g, "<$1>");
      }
    }
  });

  const size = 3_000_000;
  const repeated = (text: string) => text.repeat(Math.ceil(size / text.length)).slice(0, size);
  test.for([
    ...[
      "a",
      " ",
      "\n",
      "-",
      "/",
      "=",
      '"',
      "\\",
      "a.",
      "a:",
      "a@",
      "a b",
      "eyJ",
      "eyJ-",
      "eyJaaaaaaaa.",
      "eyJaaaaaaaa.eyJ_",
    ],
    ...[
      "-----BEGIN PRIVATE KEY-----",
      "-----BEGIN ",
      "-----BEGIN PRIVATE KEY-----\naaaa",
      "-----",
      "BEGIN PRIVATE KEY",
    ],
    ...[
      "://",
      "://a:",
      "://a:b",
      "://:@",
      "://a:@@@@",
      "a://b:c@",
      "sk-",
      "sk-ant-",
      "sk-proj-aaaaaaaaaaaa",
      "AKIA",
      "AIza",
      "gh",
      "ghp_a",
    ],
    ...[
      "password",
      "password=",
      'password="',
      "password=a",
      "secretsecrettoken:",
      "key ",
      "key_base",
      'key\\\\\\"',
      "token => ",
    ],
    ...[
      "bearer ",
      "Bearer a",
      "Bearer aaaaaaaaaaaaaaaaaaaaaaaaa ",
      "basic \t",
      "ookie:",
      "ookie: a",
      "ookie: a=",
      "SG.",
      "SG.a",
      "?sig=",
      "?sig=a",
    ],
    ...[
      "A_KEY=",
      "A",
      "A_",
      "a-",
      "token=a1",
      "passwd:a1 ",
      '"name":"',
      '"name":"password","value":"',
      "name: a\nvalue: ",
      "oracle:thin:a/",
      " --password ",
      " -u a:",
      'password="\\',
      "password='a''",
      '"password":"\\',
      "hooks.slack.com/services/",
      "discord.com/api/webhooks/",
      "mysql -p",
      "machine a ",
      "machine a login b ",
      ":5432:a:b:",
      'Authorization: Digest a="',
      "Authorization: a 1",
      "Private-Lines: 1\n",
      "https://a1",
      "0000000:AA",
      "abcdef0123456789-",
      "a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4-us",
      "EAAA",
      "pat-",
      "sl.",
      '\\\\\\"secret\\\\\\":\\\\\\"',
      "key='\\",
    ],
  ])("for %j repeated many times", { timeout: 20_000 }, (text) => {
    expect(typeof shown(repeated(text))).toBe("string");
    expect(typeof shown(`${repeated(text)}\u0000`)).toBe("string");
  });
});
