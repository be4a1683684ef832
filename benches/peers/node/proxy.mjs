// A reverse proxy in front of the S3 server: it counts every request that a peer sends, and may hold it up for as long as
// a store in the cloud would.
//
// Signatures stay valid, because the host that the client signed is passed on. ETags lose their quotes on the way back:
// Ceph 16.2 answers 412 to every If-Match with a quoted one, AWS takes both.

import http from "node:http";

/** What AWS bills as one of its dearer requests; deletions cost nothing, all others are the cheap ones. */
const DEAR = ["PUT", "LIST", "POST"];
export const KINDS = ["GET", "HEAD", "PUT", "DELETE", "LIST", "POST"];
const USD_OF_1000_DEAR = 0.005;
const USD_OF_1000_CHEAP = 0.0004;

/** How long nothing may be under way until what runs in the background of a peer counts as finished. */
const QUIET_MS = 150;

function kindOf(method, url) {
  const { pathname, searchParams } = new URL(url, "http://store");
  const hasKey = pathname.split("/").filter(Boolean).length > 1;
  if (method === "GET" && (searchParams.has("list-type") || !hasKey)) return "LIST";
  return method;
}

/** Bytes of what users keep in headers: s3db.js keeps its documents there. */
function metadataBytes(headers) {
  const kept = Object.entries(headers).filter(([name]) => name.startsWith("x-amz-meta-"));
  return kept.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
}

class Counts {
  constructor() {
    this.kinds = Object.fromEntries(KINDS.map((kind) => [kind, 0]));
    this.bytesUp = 0;
    this.bytesDown = 0;
    this.statuses = {};
    this.rounds = 0;
    this.answeredSinceRound = true;
  }

  get total() {
    return Object.values(this.kinds).reduce((sum, count) => sum + count, 0);
  }

  usd() {
    const dear = DEAR.reduce((sum, kind) => sum + this.kinds[kind], 0);
    const cheap = this.kinds.GET + this.kinds.HEAD;
    return (dear * USD_OF_1000_DEAR + cheap * USD_OF_1000_CHEAP) / 1000;
  }

  /** The fields of a row of results. */
  fields() {
    const { GET, HEAD, PUT, DELETE, LIST, POST } = this.kinds;
    const refused = Object.fromEntries(Object.entries(this.statuses).filter(([status]) => Number(status) >= 400));
    return {
      gets: GET, heads: HEAD, puts: PUT, deletes: DELETE, lists: LIST, posts: POST,
      bytes_up: this.bytesUp, bytes_down: this.bytesDown, rounds: this.rounds, refused,
    };
  }
}

export class Proxy {
  static async start(target) {
    const proxy = new Proxy();
    proxy.target = new URL(target);
    proxy.agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
    proxy.delaysMs = { read: 0, write: 0 };
    proxy.underWay = 0;
    proxy.lastActive = 0;
    proxy.counts = new Counts();
    proxy.server = http.createServer((request, answer) => proxy.pass(request, answer));
    proxy.server.keepAliveTimeout = 60_000;
    await new Promise((resolve) => proxy.server.listen(0, "127.0.0.1", resolve));
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }

  /** From now on requests take at least so long. */
  delay(readMs, writeMs) {
    this.delaysMs = { read: readMs, write: writeMs };
  }

  pass(request, answer) {
    const counts = this.counts;
    const kind = kindOf(request.method, request.url);
    counts.kinds[kind] += 1;
    if (counts.answeredSinceRound) {
      counts.rounds += 1;
      counts.answeredSinceRound = false;
    }
    counts.bytesUp += metadataBytes(request.headers);
    this.underWay += 1;
    answer.once("close", () => {
      counts.answeredSinceRound = true;
      this.underWay -= 1;
      this.lastActive = performance.now();
    });
    const delayMs = ["GET", "HEAD", "LIST"].includes(kind) ? this.delaysMs.read : this.delaysMs.write;
    const body = [];
    request.on("data", (part) => {
      counts.bytesUp += part.length;
      body.push(part);
    });
    request.on("end", () => setTimeout(() => this.forward(request, Buffer.concat(body), answer, counts), delayMs));
  }

  forward(request, body, answer, counts) {
    const { method, url: path, headers } = request;
    const { hostname, port } = this.target;
    const forwarded = { ...headers, connection: "keep-alive" };
    delete forwarded["transfer-encoding"];
    delete forwarded.expect;
    if (body.length > 0 || headers["content-length"] !== undefined) forwarded["content-length"] = body.length;
    const upstream = http.request({ hostname, port, method, path, headers: forwarded, agent: this.agent }, (response) => {
      counts.statuses[response.statusCode] = (counts.statuses[response.statusCode] ?? 0) + 1;
      counts.bytesDown += metadataBytes(response.headers);
      const back = { ...response.headers };
      if (back.etag !== undefined) back.etag = back.etag.replaceAll('"', "");
      answer.writeHead(response.statusCode, back);
      response.on("data", (part) => (counts.bytesDown += part.length));
      response.pipe(answer);
    });
    upstream.on("error", (error) => answer.destroy(error));
    upstream.end(body);
  }

  async quiet() {
    let since = performance.now();
    while (this.underWay > 0 || performance.now() - Math.max(since, this.lastActive) < QUIET_MS) {
      if (this.underWay > 0) since = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** What `work` asks of the store, what it leaves to the background included; how long the caller waited; its answer. */
  async count(work) {
    await this.quiet();
    const counts = new Counts();
    this.counts = counts;
    const started = performance.now();
    const answer = await work();
    const ms = performance.now() - started;
    await this.quiet();
    this.counts = new Counts();
    return { counts, ms, answer };
  }

  stop() {
    this.agent.destroy();
    this.server.closeAllConnections();
    this.server.close();
  }
}
