/** The workloads. One process of `run` is one sample: a flat object of numbers. */
import beside from "./workloads/beside.mjs";
import contents from "./workloads/contents.mjs";
import documents from "./workloads/documents.mjs";
import dropIn from "./workloads/drop-in.mjs";
import ends from "./workloads/ends.mjs";
import host from "./workloads/host.mjs";
import hour from "./workloads/hour.mjs";
import list from "./workloads/list.mjs";
import openSpans from "./workloads/open-spans.mjs";
import record from "./workloads/record.mjs";
import redact from "./workloads/redact.mjs";
import sessions from "./workloads/sessions.mjs";
import spans from "./workloads/spans.mjs";
import toolCall from "./workloads/tool-call.mjs";

export const workloads = [
  record,
  ...spans,
  contents,
  toolCall,
  dropIn,
  redact,
  ...documents,
  ...ends,
  ...sessions,
  ...beside,
  openSpans,
  list,
  hour,
  host,
];

export const workloadNamed = (name) => workloads.find((one) => one.name === name);
