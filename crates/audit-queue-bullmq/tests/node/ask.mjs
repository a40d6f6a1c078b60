// Does with queues what it is asked for, until its input ends. A line of input is { version: 5 | 6, port, queue, [prefix], do: [["pause"],
// ["getState", id], ...] }, see below; the line of output is { results: [...] } or { error }.
import readline from 'node:readline';
import { bullmq } from './lib.mjs';

const shown = (job) => job && {
  id: job.id, name: job.name, data: job.data, attemptsMade: job.attemptsMade, failedReason: job.failedReason,
  stacktrace: job.stacktrace, stalledCounter: job.stalledCounter, processedBy: job.processedBy,
};

const actionsOf = (queue, { FlowProducer, Job, Worker }, options) => ({
  add: async (data, opts) => (await queue.add(queue.name, data, opts)).id,
  addBulk: async (jobs) => (await queue.addBulk(jobs)).map((job) => job.id),
  // Ids of the parent and its children.
  flow: async (tree) => {
    const flows = new FlowProducer(options);
    const { job, children } = await flows.add(tree);
    await flows.close();
    return [job.id, ...children.map((child) => child.job.id)];
  },
  pause: () => queue.pause(),
  resume: () => queue.resume(),
  obliterate: () => queue.obliterate({ force: true }),
  concurrency: (most) => queue.setGlobalConcurrency(most),
  rate: (most, ms) => queue.setGlobalRateLimit(most, ms),
  scheduler: async (id, every) => (await queue.upsertJobScheduler(id, { every }, { name: 'tick', data: {} }))?.id,
  counts: () => queue.getJobCounts(),
  job: async (id) => shown(await Job.fromId(queue, id)),
  getState: (id) => queue.getJobState(id),
  states: (ids) => Promise.all(ids.map((id) => queue.getJobState(id))),
  retry: async (id) => (await Job.fromId(queue, id)).retry('failed'),
  // Takes a job as a worker of Node does, and dies with it.
  take: async (lockDuration) => {
    const worker = new Worker(queue.name, null, { ...options, lockDuration, skipStalledCheck: true, skipLockRenewal: true });
    const job = await worker.getNextJob('of-node', { block: false });
    await worker.close(true);
    return job?.id;
  },
  // Works off so many jobs, as a worker of Node does.
  work: async (count) => {
    const done = [];
    const worker = new Worker(queue.name, async (job) => { done.push(job.id); }, options);
    await new Promise((resolve) => worker.on('completed', () => done.length >= count && resolve()));
    await worker.close();
    return done;
  },
});

const answer = async (asked) => {
  const { packageOf, options } = bullmq(asked);
  const queue = new packageOf.Queue(asked.queue, options);
  const actions = actionsOf(queue, packageOf, options);
  const results = [];
  for (const [action, ...args] of asked.do) results.push((await actions[action](...args)) ?? null);
  await queue.close();
  return { results };
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const said = await answer(JSON.parse(line)).catch((error) => ({ error: String(error?.stack ?? error) }));
  process.stdout.write(JSON.stringify(said) + '\n');
}
