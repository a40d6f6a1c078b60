// Adds `count` jobs of every kind that an event may come as, half with `add`, half with `addBulk`. Says
//   {"added": total} at the end, and with `"tell": true` {"id": job id, "n": number} for each before it.
// Asked: version, port, queue, count, [from], [tell], [kinds: names of those below], [prefix].
import * as lib from './lib.mjs';

const { say } = lib;
const asked = lib.asked();
const { packageOf: { FlowProducer, Queue }, options } = lib.bullmq(asked);
const { count, from = 0, tell = false } = asked;
// Listeners must not lose what happens faster than they read.
const queue = new Queue(asked.queue, { ...options, streams: { events: { maxLen: 1000000 } } });
const flows = new FlowProducer(options);

const kinds = {
  plain: () => ({}),
  priority: (n) => ({ priority: 1 + (n % 7) }),
  delay: (n) => ({ delay: n % 300 }),
  lifo: () => ({ lifo: true }),
  attempts: () => ({ attempts: 3, backoff: { type: 'exponential', delay: 10 } }),
  removed: () => ({ removeOnComplete: true, removeOnFail: true }),
  kept: () => ({ removeOnComplete: 100, removeOnFail: false }),
  aged: () => ({ removeOnComplete: { age: 3600, count: 5000 } }),
  named: (n) => ({ jobId: `event-${asked.version}-${n}` }),
  deduplicated: (n) => ({ deduplication: { id: `once-${asked.version}-${n}` } }),
};
const names = asked.kinds ?? [...Object.keys(kinds), 'flow'];

const event = (n) => ({
  principalId: `user-${n % 500}`,
  organizationId: `org-${n % 7}`,
  action: 'record.read',
  targetResourceType: 'patient',
  targetResourceId: `patient-${n}`,
  status: 'success',
  timestamp: new Date(1700000000000 + n).toISOString(),
  n,
});

let added = 0;
const added_one = (job, n) => {
  added += 1;
  if (tell) say({ id: job.id, n });
};

for (let at = from; at < from + count; at += 100) {
  const jobs = [];
  const children = [];
  for (let n = at; n < Math.min(at + 100, from + count); n += 1) {
    const kind = names[n % names.length];
    if (kind === 'flow') children.push(n);
    else jobs.push({ n, name: asked.queue, data: event(n), opts: kinds[kind](n) });
  }
  if ((at / 100) % 2 === 0) {
    const made = await queue.addBulk(jobs.map(({ name, data, opts }) => ({ name, data, opts })));
    made.forEach((job, index) => added_one(job, jobs[index].n));
  } else {
    await Promise.all(jobs.map(async ({ n, name, data, opts }) => added_one(await queue.add(name, data, opts), n)));
  }
  for (const n of children) {
    // The parent is an event too, and waits until its child has been stored.
    const flow = await flows.add({
      name: asked.queue, queueName: asked.queue, data: event(n),
      children: [{ name: asked.queue, queueName: asked.queue, data: { ...event(n), child: true } }],
    });
    added_one(flow.job, n);
    added_one(flow.children[0].job, n);
  }
}
say({ added });
await flows.close();
await queue.close();
