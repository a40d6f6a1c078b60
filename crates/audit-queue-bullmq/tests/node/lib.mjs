// What every script here begins with: the version of BullMQ that was asked for, and one line of JSON for everything that is said.
import { createRequire } from 'node:module';
import path from 'node:path';

const packages = process.env.AUDIT_TEST_NPM;
if (!packages) throw new Error('AUDIT_TEST_NPM is not set');
const require = createRequire(path.join(packages, 'package.json'));

// { version: 5 | 6, port, prefix?, ... } as the first argument.
export const asked = JSON.parse(process.argv[2]);
export const { Queue, FlowProducer, QueueEvents, Worker, Job } = require(`bullmq${asked.version}`);
export const connection = { host: '127.0.0.1', port: asked.port, maxRetriesPerRequest: null };
export const prefix = asked.prefix ?? 'bull';
export const options = { connection, prefix };
export const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
