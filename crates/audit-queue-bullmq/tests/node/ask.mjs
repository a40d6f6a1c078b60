// Does one thing after the other with a queue, and says what came of each: {"result": ...}.
// Asked: version, port, queue, [prefix], do: [["pause"], ["getState", id], ...]; see below.
import { FlowProducer, Job, Queue, Worker, asked, options, say } from './lib.mjs';

const queue = new Queue(asked.queue, options);
const shown = (job) => job && {
  id: job.id, name: job.name, data: job.data, state: undefined, attemptsMade: job.attemptsMade, attemptsStarted: job.attemptsStarted,
  failedReason: job.failedReason, returnvalue: job.returnvalue, finishedOn: job.finishedOn, processedOn: job.processedOn,
  stacktrace: job.stacktrace, stalledCounter: job.stalledCounter, processedBy: job.processedBy, timestamp: job.timestamp,
  delay: job.delay, priority: job.priority, opts: job.opts,
};
const actions = {
  add: async (data, opts) => (await queue.add(asked.queue, data, opts)).id,
  addBulk: async (jobs) => (await queue.addBulk(jobs)).map((job) => job.id),
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
  jobs: async (state) => (await queue.getJobs([state])).map((job) => job.id),
  job: async (id) => shown(await Job.fromId(queue, id)),
  getState: async (id) => queue.getJobState(id),
  states: async (ids) => Promise.all(ids.map((id) => queue.getJobState(id))),
  retry: async (id) => (await Job.fromId(queue, id)).retry('failed'),
  // Takes a job as a worker of Node does, and dies with it.
  take: async (lockDuration) => {
    const worker = new Worker(asked.queue, null, { ...options, lockDuration, skipStalledCheck: true, skipLockRenewal: true });
    const job = await worker.getNextJob('of-node', { block: false });
    await worker.close(true);
    return job?.id;
  },
  // Works off what is there, as a worker of Node does.
  work: async (count, opts = {}) => {
    const done = [];
    const worker = new Worker(asked.queue, async (job) => { done.push(job.id); }, { ...options, ...opts });
    await new Promise((resolve) => worker.on('completed', () => done.length >= count && resolve()));
    await worker.close();
    return done;
  },
};
for (const [action, ...args] of asked.do) say({ result: (await actions[action](...args)) ?? null });
await queue.close();
