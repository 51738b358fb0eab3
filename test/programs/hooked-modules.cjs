// Registers a hook of modules, as OpenTelemetry does for ES modules. Node runs what `--require` names in the thread of hooks, too.
const { register } = require("node:module");
const { pathToFileURL } = require("node:url");
const { isMainThread } = require("node:worker_threads");

if (isMainThread) register("./modules-hook.mjs", pathToFileURL(__filename));
