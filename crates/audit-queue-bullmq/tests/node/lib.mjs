// What every script here begins with: the version of BullMQ that is asked for, and how to reach its queues.
import { createRequire } from 'node:module';
import path from 'node:path';

const packages = process.env.AUDIT_TEST_NPM;
if (!packages) throw new Error('AUDIT_TEST_NPM is not set');
const require = createRequire(path.join(packages, 'package.json'));

// `asked`: { version: 5 | 6, port, [prefix] }.
export const bullmq = (asked) => ({
  packageOf: require(`bullmq${asked.version}`),
  options: {
    connection: { host: '127.0.0.1', port: asked.port, maxRetriesPerRequest: null },
    prefix: asked.prefix ?? 'bull',
  },
});

// What a script that does one thing was asked, as its argument.
export const asked = () => JSON.parse(process.argv[2]);

export const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
