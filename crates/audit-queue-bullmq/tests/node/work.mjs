// A worker of Node, until it is killed. Says {"ready": true}, then {"done": job id} for each.
// Asked: version, port, queue, [prefix], [options of the worker as `worker`].
import * as lib from './lib.mjs';

const asked = lib.asked();
const { packageOf: { Worker }, options } = lib.bullmq(asked);
const worker = new Worker(asked.queue, async () => null, { ...options, concurrency: 10, ...asked.worker });
worker.on('completed', (job) => lib.say({ done: job.id }));
worker.on('failed', (job, error) => lib.say({ failed: job?.id, why: String(error) }));
worker.on('error', (error) => lib.say({ error: String(error) }));
await worker.waitUntilReady();
lib.say({ ready: true });
