// Listens to a queue, from its first event on, until it is killed. Says {"ready": true}; each event goes to `file` as a line
// {"event", "jobId", ...}, because there may be more of them than anybody keeps of what a process says.
// Asked: version, port, queue, file, [prefix].
import { appendFileSync } from 'node:fs';
import * as lib from './lib.mjs';

const asked = lib.asked();
const { packageOf: { QueueEvents }, options } = lib.bullmq(asked);
const write = (line) => appendFileSync(asked.file, JSON.stringify(line) + '\n');
const events = new QueueEvents(asked.queue, { ...options, lastEventId: '0-0' });
events.on('error', (error) => write({ event: 'error', message: String(error) }));
for (const event of ['completed', 'failed', 'retries-exhausted', 'stalled', 'drained', 'waiting-children']) {
  events.on(event, (fields) => write({ event, ...fields }));
}
await events.waitUntilReady();
lib.say({ ready: true });
