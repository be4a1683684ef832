// baerly-storage as its documentation deploys it on Node: requests go to `baerlyNode`, which keeps up its collections
// itself on the write path; ids are minted by it.

import { readFileSync } from "node:fs";
import { MemoryStorage } from "@gusto/baerly-storage";
import { defineConfig } from "@gusto/baerly-storage/config";
import { compact, runScheduledMaintenance } from "@gusto/baerly-storage/maintenance";
import { baerlyNode, minioStorage } from "@gusto/baerly-storage/node";

import { ACCESS_KEY, REGION, SECRET_KEY } from "./s3.mjs";

const manifest = new URL("node_modules/@gusto/baerly-storage/package.json", import.meta.url);
const APP = "app";
const TENANT = "main";
const COLLECTION = "docs";
const CURRENT = `app/${APP}/tenant/${TENANT}/manifests/${COLLECTION}/current.json`;

const LOADED_BETWEEN_FOLDS = 50;

class Refused extends Error {}

class Session {
  constructor(storage, { indexed }) {
    const indexes = indexed ? [{ name: "by_group", on: "group" }] : [];
    const config = defineConfig({
      app: APP, tenant: TENANT, target: "node", auth: "none", collections: { [COLLECTION]: { indexes } },
    });
    this.storage = storage;
    this.site = baerlyNode({ config, storage, observability: false });
  }

  async ask(method, path, body) {
    const init = { method };
    if (body !== undefined) Object.assign(init, { body: JSON.stringify(body), headers: { "content-type": "application/json" } });
    const answer = await this.site.fetch(new Request(`http://app/v1/${path}`, init));
    if (answer.status === 204) return undefined;
    const text = await answer.text();
    if (!answer.ok) throw new Refused(`${method} ${path}: ${answer.status} ${text.slice(0, 300)}`);
    return JSON.parse(text);
  }

  /** The key under which the document is found. */
  async insert(document) {
    const answer = await this.ask("POST", `c/${COLLECTION}`, { doc: document });
    return answer._id ?? answer.data?._id;
  }

  async get(key) {
    return (await this.ask("GET", `c/${COLLECTION}/${key}`)).data;
  }

  update(key, patch) {
    return this.ask("PATCH", `c/${COLLECTION}/${key}`, { patch });
  }

  remove(key) {
    return this.ask("DELETE", `c/${COLLECTION}/${key}`);
  }

  async scan(limit) {
    return (await this.ask("GET", `c/${COLLECTION}?limit=${limit}`)).data;
  }

  async count() {
    return (await this.ask("GET", `count?collection=${COLLECTION}`)).data;
  }

  async byGroup(group) {
    const where = encodeURIComponent(JSON.stringify({ clauses: [{ op: "eq", field: "group", value: group }] }));
    return (await this.ask("GET", `c/${COLLECTION}?where=${where}`)).data;
  }

  /** Its long poll, once: it answers after 25 s when nothing happens. */
  watch(cursor) {
    return this.ask("GET", `since?collection=${COLLECTION}&cursor=${encodeURIComponent(cursor)}`);
  }

  /** The sweep out of band that its documentation offers: no ceilings. */
  sweep() {
    return runScheduledMaintenance({ storage: this.storage, currentJsonKey: CURRENT }, { compact: { minEntriesToCompact: 1 } });
  }

  /** Inserts documents and folds the log every few, without the maintenance of each write: their keys. */
  async fill(documents) {
    process.env.BAERLY_MAINTENANCE_DISABLE = "1";
    const keys = [];
    for (const document of documents) {
      keys.push(await this.insert(document));
      if (keys.length % LOADED_BETWEEN_FOLDS === 0) {
        await compact({ storage: this.storage, currentJsonKey: CURRENT }, { minEntriesToCompact: 1 });
      }
    }
    delete process.env.BAERLY_MAINTENANCE_DISABLE;
    await this.sweep();
    return keys;
  }

  async close() {}
}

export const baerly = {
  name: "baerly-storage",
  version: JSON.parse(readFileSync(manifest, "utf8")).version,
  settings: {
    access: "baerlyNode(…).fetch, the documented way to embed it; auth none, as for a trusted network",
    storage: "minioStorage (path-style S3)",
    ids: "minted by baerly-storage",
    maintenance: "its own on the write path, the profile for Node",
  },

  open(proxy, bucket, options = {}) {
    const credentials = { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY };
    const storage = minioStorage({ endpoint: proxy.url, region: REGION, bucket, credentials });
    return new Session(storage, options);
  },

  /** On a storage of the caller's. */
  over: (storage, options = {}) => new Session(storage, options),

  /**
   * A bucket with these documents. They are written by baerly-storage into its memory store, all objects of which are then
   * copied: through HTTP it would take hours. `swept` says whether the log is folded, or left as its own maintenance does.
   */
  async load(server, documents, { swept = true, ...options } = {}) {
    const memory = new MemoryStorage();
    const session = new Session(memory, options);
    const keys = swept ? await session.fill(documents) : [];
    if (!swept) for (const document of documents) keys.push(await session.insert(document));
    const objects = [];
    for await (const { key } of memory.list("")) objects.push([key, (await memory.get(key)).body]);
    const bucket = await server.bucket();
    await server.put(bucket, objects);
    return { bucket, keys, objects: objects.length, bytes: objects.reduce((sum, [, body]) => sum + body.length, 0) };
  },
};
