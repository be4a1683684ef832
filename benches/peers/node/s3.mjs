// The server itself: its buckets, and objects that are put there without being counted.

import { CreateBucketCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";

export const ACCESS_KEY = process.env.AWS_ACCESS_KEY_ID ?? "AKIDTEST";
export const SECRET_KEY = process.env.AWS_SECRET_ACCESS_KEY ?? "SECRETTEST";
export const REGION = "us-east-1";

const PUTS_AT_ONCE = 32;

export class Server {
  constructor(endpoint) {
    this.endpoint = endpoint;
    const credentials = { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY };
    this.client = new S3Client({ endpoint, region: REGION, credentials, forcePathStyle: true });
    this.run = `node-peers-${Date.now().toString(36)}`;
    this.buckets = 0;
  }

  /** A bucket that nobody has used. */
  async bucket() {
    this.buckets += 1;
    const name = `${this.run}-${this.buckets}`;
    await this.client.send(new CreateBucketCommand({ Bucket: name }));
    return name;
  }

  /** Puts pairs of key and body. */
  async put(bucket, objects) {
    const waiting = objects[Symbol.iterator]();
    const worker = async () => {
      for (const [Key, Body] of waiting) await this.client.send(new PutObjectCommand({ Bucket: bucket, Key, Body }));
    };
    await Promise.all(Array.from({ length: PUTS_AT_ONCE }, worker));
  }

  stop() {
    this.client.destroy();
  }
}
