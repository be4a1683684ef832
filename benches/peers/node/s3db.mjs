// s3db.js as its documentation recommends for production: the client and pools by default, `enforce-limits`, an index as
// a partition written behind the answer (its default), and where it is said its cache plugin in memory for five minutes.

import { readFileSync } from "node:fs";
import { CachePlugin, S3db } from "s3db.js";

import { ACCESS_KEY, SECRET_KEY } from "./s3.mjs";

const manifest = new URL("node_modules/s3db.js/package.json", import.meta.url);
const RESOURCE = "docs";
const LOADED_AT_ONCE = 32;

const SMALL = { group: "string", count: "number", text: "string" };
const RECORD = Object.fromEntries(Array.from({ length: 10 }, (_, field) => [`field${field}`, "string"]));

class Session {
  static async connect(proxy, bucket, { indexed, records, cacheMs }) {
    const session = new Session();
    const { host } = new URL(proxy.url);
    session.db = new S3db({
      connectionString: `http://${ACCESS_KEY}:${SECRET_KEY}@${host}/${bucket}/databases/app`,
      logLevel: "silent",
      plugins: cacheMs === undefined ? [] : [new CachePlugin({ driver: "memory", ttl: cacheMs })],
    });
    await session.db.connect();
    session.docs = await session.db.createResource({
      name: RESOURCE,
      attributes: records ? RECORD : SMALL,
      behavior: "enforce-limits",
      partitions: indexed ? { byGroup: { fields: { group: "string" } } } : {},
    });
    return session;
  }

  async insert(document) {
    await this.docs.insert(document);
    return document.id;
  }

  get(key) {
    return this.docs.get(key);
  }

  update(key, patch) {
    return this.docs.update(key, patch);
  }

  remove(key) {
    return this.docs.delete(key);
  }

  scan(limit) {
    return this.docs.list({ limit });
  }

  count() {
    return this.docs.count();
  }

  byGroup(group) {
    return this.docs.list({ partition: "byGroup", partitionValues: { group } });
  }

  close() {
    return this.db.disconnect();
  }
}

export const s3db = {
  name: "s3db.js",
  version: JSON.parse(readFileSync(manifest, "utf8")).version,
  settings: {
    behaviour: "enforce-limits",
    index: "partition byGroup, written behind the answer (asyncPartitions, the default)",
    client: "defaults",
    cache: "none, except where a row says so: CachePlugin in memory, 5 minutes",
    packages:
      "the registry no longer has recker 1.0.103, tuiuiu.js 1.0.63 and cli-args-parser. Its HTTP client recker is a stand-in on " +
      "node:http, because the newest published recker fails at every deletion (Invalid response status code 204) and the AWS " +
      "client's own handler (useReckerHandler: false) hangs after 50 reads; the other two serve its command line",
  },

  open(proxy, bucket, options = {}) {
    return Session.connect(proxy, bucket, options);
  },

  async load(server, documents, options = {}) {
    const bucket = await server.bucket();
    const session = await this.open({ url: server.endpoint }, bucket, options);
    const keys = [];
    const waiting = documents[Symbol.iterator]();
    const worker = async () => {
      for (const document of waiting) keys.push(await session.insert(document));
    };
    await Promise.all(Array.from({ length: LOADED_AT_ONCE }, worker));
    keys.sort();
    await session.close();
    return { bucket, keys };
  },
};
