// The month of a boring web app: 10,000 reads and 500 writes a day, two instances, a deploy of both every third day. A
// sample of it is run without the pauses; each row says which, and by what formula a month is made of it.
//
// Of five writes one is of a new record. What is read and written follows YCSB's distribution.

import { MemoryStorage } from "@gusto/baerly-storage";

import { baerly } from "./baerly.mjs";
import { random, record, revisionOf, zipf } from "./documents.mjs";

const DAYS = 30;
const READS_A_DAY = 10_000;
const WRITES_A_DAY = 500;
const DEPLOYS = 10;
const INSTANCES = 2;
const READS_PER_WRITE = READS_A_DAY / WRITES_A_DAY;
const WRITES_PER_INSERT = 5;

/** The app is used from 7:00 to 23:00, and the cache of s3db.js keeps for 5 minutes. */
const READS_WHILE_CACHED = (READS_A_DAY * 5) / (16 * 60);
const READ_EVERY_MS = 20;

const FOLD_BYTES = 32 * 1024 * 1024;
const KINDS = ["gets", "heads", "puts", "deletes", "lists", "posts"];
const usd = (sum) => ((sum.puts + sum.lists + sum.posts) * 0.005 + (sum.gets + sum.heads) * 0.0004) / 1000;

function add(sum, more, times = 1) {
  for (const kind of [...KINDS, "bytes_up", "bytes_down"]) sum[kind] = (sum[kind] ?? 0) + (more[kind] ?? 0) * times;
  return sum;
}

function monthRow(what, sum, more) {
  const rounded = Object.fromEntries(Object.entries(sum).map(([kind, count]) => [kind, Math.round(count)]));
  const value = KINDS.reduce((total, kind) => total + rounded[kind], 0);
  return { what, unit: "requests", value, ...rounded, usd_on_s3_standard: Number(usd(rounded).toFixed(3)), ...more };
}

/** Reads and writes of records whose answers are checked; `stale` says whether the revision before is an answer too. */
class App {
  constructor(sessions, keys, seed, { stale = false } = {}) {
    this.sessions = sessions;
    this.keys = [...keys];
    this.revisions = new Map();
    this.next = random(seed);
    this.popular = zipf(keys.length, this.next);
    this.stale = stale;
    this.writes = 0;
  }

  session() {
    return this.sessions[Math.floor(this.next() * this.sessions.length)];
  }

  async read() {
    const number = this.popular();
    const found = await this.session().get(this.keys[number]);
    const [revision, newest] = [revisionOf(found), this.revisions.get(number) ?? 0];
    if (this.stale ? revision > newest : revision !== newest) {
      throw new Error(`record ${number} has revision ${revision}, not ${newest}`);
    }
    if (found.field9 !== record(number, revision).field9) throw new Error(`record ${number} is another`);
  }

  async write() {
    this.writes += 1;
    if (this.writes % WRITES_PER_INSERT === 0) {
      this.keys.push(await this.session().insert(record(this.keys.length)));
      return;
    }
    const number = this.popular();
    const revision = (this.revisions.get(number) ?? 0) + 1;
    const { id: _, ...fields } = record(number, revision);
    await this.session().update(this.keys[number], fields);
    this.revisions.set(number, revision);
  }
}

const records = (count) => Array.from({ length: count }, (_, number) => record(number));

async function ofS3db(peer, server, proxy) {
  const rows = [];
  // With 50 writes one update, of record 0, was answered 403 by the server and refused by s3db.js; why is not known.
  const sample = { writes: 10 };
  sample.reads = sample.writes * READS_PER_WRITE;
  for (const size of [1_000]) {
    const loaded = await peer.load(server, records(size), { records: true });
    const written = new Map();
    for (const cached of [false, true]) {
      const cacheMs = cached ? Math.round(READS_WHILE_CACHED * READ_EVERY_MS) : undefined;
      const open = () => peer.open(proxy, loaded.bucket, { records: true, cacheMs });
      const first = await open();
      await first.close();
      const sessions = [];
      const deploy = await proxy.count(async () => {
        for (let instance = 0; instance < INSTANCES; instance += 1) sessions.push(await open());
      });
      const app = new App(sessions, loaded.keys, 5, { stale: cached });
      app.revisions = written;
      const did = { reads: {}, writes: {} };
      for (let write = 0; write < sample.writes; write += 1) {
        const read = await proxy.count(async () => {
          for (let turn = 0; turn < READS_PER_WRITE; turn += 1) {
            const due = performance.now() + (cached ? READ_EVERY_MS : 0);
            await app.read();
            await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
          }
        });
        add(did.reads, read.counts.fields());
        add(did.writes, (await proxy.count(() => app.write())).counts.fields());
      }
      loaded.keys = app.keys;
      for (const session of sessions) await session.close();
      const scale = (READS_A_DAY * DAYS) / sample.reads;
      const sum = add(add({}, did.reads, scale), did.writes, scale);
      add(sum, deploy.counts.fields(), DEPLOYS);
      const says = cached ? "reads through its cache in memory (5 minutes)" : "strict reads";
      rows.push(monthRow(`month, ${size.toLocaleString("en")} records of 1 KB, ${says}`, sum, {
        sample: `${sample.reads} reads and ${sample.writes} writes on ${size} records, both instances opened once`,
        formula: `${scale} × the sample's reads and writes + ${DEPLOYS} × the opening of both instances`,
        sample_reads: did.reads, sample_writes: did.writes, deploy: deploy.counts.fields(),
        lower_than_reality: "1 GB is a million objects: too many for this server; a read or write by key asks the same whatever their number",
        ...(cached && {
          cache: `kept for ${cacheMs} ms at a read every ${READ_EVERY_MS} ms, as many reads as come in 5 minutes of a day of 16 hours; ` +
            "the pauses for counting make it shorter, so hits are a little rarer here than in reality",
        }),
      }));
    }
  }
  return rows;
}

/** What baerly-storage asks of its storage, one for one what its S3 client sends: held against the real server below. */
class CountedMemory extends MemoryStorage {
  counts = {};

  count(kind, up = 0, down = 0) {
    add(this.counts, { [kind]: 1, bytes_up: up, bytes_down: down });
  }

  async get(key, options) {
    const found = await super.get(key, options);
    this.count("gets", 0, found?.body.length ?? 0);
    return found;
  }

  put(key, body, options) {
    this.count("puts", body.length);
    return super.put(key, body, options);
  }

  delete(key, options) {
    this.count("deletes");
    return super.delete(key, options);
  }

  async *list(prefix, options) {
    let listed = 0;
    this.count("lists");
    for await (const entry of super.list(prefix, options)) {
      if (listed > 0 && listed % 1_000 === 0) this.count("lists");
      listed += 1;
      yield entry;
    }
  }

  take() {
    const counts = add({}, this.counts);
    this.counts = {};
    return counts;
  }
}

/** 1 GB: as many collections of 1,000 records, one of which is measured, as if all were equally popular. */
async function manyCollections(server, proxy, { short }) {
  const [collections, size] = [1_000, 1_000];
  const reads = (READS_A_DAY * DAYS) / collections;
  const writes = (WRITES_A_DAY * DAYS) / collections;
  const loaded = await baerly.load(server, records(size));
  const sessions = [baerly.open(proxy, loaded.bucket), baerly.open(proxy, loaded.bucket)];
  const app = new App(sessions, loaded.keys, 6);
  const did = { reads: {}, writes: {} };
  const readsTaken = short ? 2 : reads / writes;
  for (let write = 0; write < writes; write += 1) {
    const read = await proxy.count(async () => {
      for (let turn = 0; turn < readsTaken; turn += 1) await app.read();
    });
    add(did.reads, read.counts.fields(), reads / writes / readsTaken);
    add(did.writes, (await proxy.count(() => app.write())).counts.fields());
  }
  return monthRow("month, 1 GB as 1,000 collections of 1,000 records of 1 KB, strict reads", add(add({}, did.reads, collections), did.writes, collections), {
    sample: `${readsTaken * writes} reads and ${writes} writes on one collection of ${size} records, all folded in the beginning`,
    formula: `${collections} × (the sample's reads × ${reads / (readsTaken * writes)} + its writes); opening asks nothing`,
    sample_reads: did.reads, sample_writes: did.writes,
    lower_than_reality:
      "every collection begins folded and gets the same share; popular ones would have longer logs and dearer reads; the folding of all is not in it",
  });
}

/** One collection under its own maintenance, day by day. */
async function oneCollection(server, proxy, size, days, foldBytes, rows) {
  if (foldBytes === undefined) delete process.env.BAERLY_MAINTENANCE_MAX_FOLD_BYTES;
  else process.env.BAERLY_MAINTENANCE_MAX_FOLD_BYTES = String(foldBytes);
  const storage = new CountedMemory();
  const session = baerly.over(storage);
  const keys = await session.fill(records(size));
  const app = new App([session], keys, 7);
  const sum = {};
  const daily = [];
  for (let day = 0; day < days; day += 1) {
    const today = {};
    for (let write = 0; write < WRITES_A_DAY; write += 1) {
      storage.take();
      await app.read();
      add(today, storage.take(), READS_PER_WRITE);
      await app.write();
      add(today, storage.take());
    }
    console.error(`day ${day + 1}`);
    daily.push({ gets: today.gets, puts: today.puts, lists: today.lists });
    add(sum, today);
  }

  // The same deed on the real server, from the same state.
  const bucket = await server.bucket();
  const objects = [];
  for await (const { key } of storage.list("")) objects.push([key, (await storage.get(key)).body]);
  await server.put(bucket, objects);
  const real = baerly.open(proxy, bucket);
  storage.take();
  const number = app.popular();
  await session.get(keys[number]);
  const inMemory = storage.take();
  const { counts } = await proxy.count(() => real.get(keys[number]));
  delete process.env.BAERLY_MAINTENANCE_MAX_FOLD_BYTES;
  const ceiling = foldBytes === undefined ? "its default ceiling of 512 KiB a fold" : "its ceiling raised to 32 MiB a fold";
  rows.push(monthRow(`month, one collection of ${size.toLocaleString("en")} records of 1 KB, ${ceiling}, strict reads`, add({}, sum, DAYS / days), {
    sample: `${days} days: every write, one in ${READS_PER_WRITE} reads; counted at the interface to its storage, in its memory store`,
    formula: `${DAYS / days} × (the sample's reads × ${READS_PER_WRITE} + its writes)`,
    daily,
    held_against_the_server: { a_read_in_memory: inMemory.gets, the_same_read_on_the_server: counts.kinds.GET },
    lower_than_reality: "1 GB does not fit: its own maintenance folds no more than 2,048 rows; pages of listings grow for a week, until garbage is deleted",
  }));
}

async function ofBaerly(peer, server, proxy, options) {
  const rows = [await manyCollections(server, proxy, options)];
  options.keep(rows);
  if (options.short) await oneCollection(server, proxy, 100, 1, FOLD_BYTES, rows);
  else {
    await oneCollection(server, proxy, 250, 2, undefined, rows);
    options.keep(rows);
    await oneCollection(server, proxy, 1_000, 2, FOLD_BYTES, rows);
  }
  return rows;
}

export function month(peer, server, proxy, options) {
  proxy.delay(0, 0);
  return (peer === baerly ? ofBaerly : ofS3db)(peer, server, proxy, options);
}
