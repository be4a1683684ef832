// The one thing that s3db.js needs of recker: an HTTP client that passes on what the AWS client has signed and reads every
// answer wholly. What else it imports by name is here for the import's sake.

import http from "node:http";
import https from "node:https";
import { Readable } from "node:stream";

function pathOf({ path = "/", query = {} }) {
  const pairs = Object.entries(query).flatMap(([name, values]) => [values].flat().map((value) => [name, value ?? ""]));
  const text = pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join("&");
  return text === "" ? path : `${path}${path.includes("?") ? "&" : "?"}${text}`;
}

export function createClient({ concurrency }) {
  const { connections: maxSockets, keepAlive } = concurrency.agent;
  const agents = { "http:": new http.Agent({ keepAlive, maxSockets }), "https:": new https.Agent({ keepAlive, maxSockets }) };

  const handle = (request, { abortSignal } = {}) => new Promise((resolve, reject) => {
    const { protocol = "https:", hostname, port, method, headers, body } = request;
    const client = protocol === "http:" ? http : https;
    const options = { hostname, port, method, headers, path: pathOf(request), agent: agents[protocol], signal: abortSignal };
    const asked = client.request(options, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("error", reject);
      answer.on("end", () => {
        const { statusCode, statusMessage: reason, headers: answered } = answer;
        resolve({ response: { statusCode, reason, headers: { ...answered }, body: Readable.from([Buffer.concat(parts)]) } });
      });
    });
    asked.on("error", reject);
    if (body instanceof Readable) body.pipe(asked);
    else asked.end(body);
  });

  const destroy = async () => Object.values(agents).forEach((agent) => agent.destroy());
  return { metadata: { handlerProtocol: "http/1.1" }, handle, destroy };
}

const missing = () => {
  throw new Error("recker is a stand-in here");
};

export const createRedDbClient = missing;
export const expandHTTP2Options = () => ({});
export const createHttp2MetricsHooks = missing;
export const getGlobalHttp2Metrics = missing;
export const parseHttp2Error = () => undefined;
export class Http2Error extends Error {}
export class TemplateEngine {}
