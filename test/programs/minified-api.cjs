// A bundle gives the classes of the API other names.
const { trace } = require("@opentelemetry/api");

Object.defineProperty(trace.getTracerProvider().getDelegate().constructor, "name", { value: "t" });
