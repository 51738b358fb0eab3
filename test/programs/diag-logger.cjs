/** Sets a logger of `diag`, as a program may before or after the entry `register`. */
const { DiagConsoleLogger, DiagLogLevel, diag } = require("@opentelemetry/api");

diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.WARN);
