/** The file of results: by runtime and workload, so that a run can be interrupted and continued. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem, type } from "node:os";

const versions = ["@opentelemetry/api", "@opentelemetry/sdk-trace-base", "sonic-boom"];

/** What the figures depend on, in a line. */
export function machineLine() {
  const model = cpus()[0]?.model ?? "unknown processor";
  const memory = `${Math.round(totalmem() / 2 ** 30)} GB`;
  const packages = versions.map((name) => `${name.replace("@opentelemetry/", "")} ${versionOf(name)}`);
  return `${cpus().length} x ${model}, ${memory}, ${type()} ${release().split("-")[0]}; ${packages.join(", ")}`;
}

function versionOf(name) {
  const path = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).version : "none";
}

export const today = () => new Date().toISOString().slice(0, 10);

export const readResults = (path) => (existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {});

/** Adds one workload to the file, and keeps the rest. */
export function keepResult(path, { title, size, machine }, name, result) {
  const all = readResults(path);
  const known = all[title]?.size === size ? all[title].workloads : {};
  all[title] = { date: today(), machine, size, workloads: { ...known, [name]: result } };
  writeFileSync(path, `${JSON.stringify(all, rounded, 2)}\n`);
}

/** Four significant digits: more is noise. */
const rounded = (_, value) =>
  typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value;
