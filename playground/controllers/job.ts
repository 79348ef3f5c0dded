// SPDX-License-Identifier: Apache-2.0
// Job: runs pods until enough have succeeded, or too many have failed.
import { equal, type JsonObject, type KubeObject, listAt, numberAt, objectAt, textAt } from '../api/json.ts';
import { controllerUid, keyOf } from './cache.ts';
import { JOB } from './kinds.ts';
import { condition, isActive, isReady, phaseOf, podOf, stamp, withCondition } from './pods.ts';
import type { Controller, World } from './world.ts';

const RETRY_MS = 10_000;
const MAX_RETRY_MS = 360_000;

export function jobController(world: World): Controller {
  const queue = world.queue('job', reconcile);
  const { clock } = world.parts;
  world.jobs.listen((job) => queue.add(keyOf(job)));
  world.pods.listen((pod) => {
    const owner = world.jobs.values().find((job) => job.metadata.uid === controllerUid(pod));
    if (owner) queue.add(keyOf(owner));
  });

  const ended = (job: KubeObject): string | undefined =>
    ['Complete', 'Failed'].find((type) => condition(job, type)?.['status'] === 'True');

  async function reconcile(key: string): Promise<void> {
    const job = world.jobs.get(key);
    if (!job || job.metadata.deletionTimestamp) return;
    if (ended(job)) return expire(job);
    const pods = world.pods.ownedBy(job.metadata.uid);
    const active = pods.filter(isActive);
    const succeeded = pods.filter((pod) => phaseOf(pod) === 'Succeeded').length;
    const failed = pods.filter((pod) => phaseOf(pod) === 'Failed').length;
    const restarts = active
      .flatMap((pod) => listAt(pod, 'status', 'containerStatuses'))
      .reduce<number>((sum, item) => sum + (numberAt(item, 'restartCount') ?? 0), 0);
    const completions = numberAt(job, 'spec', 'completions');
    const done = completions === undefined ? succeeded > 0 && active.length === 0 : succeeded >= completions;
    const limit = numberAt(job, 'spec', 'backoffLimit') ?? 6;
    const deadline = numberAt(job, 'spec', 'activeDeadlineSeconds');
    const started = Date.parse(textAt(job, 'status', 'startTime') ?? '') || clock.now();
    const late = deadline !== undefined && clock.now() >= started + deadline * 1000;
    const broken = failed + restarts > limit;
    const suspended = objectAt(job, 'spec')['suspend'] === true;
    if (done || broken || late || suspended) for (const pod of active) await world.pods.delete(pod);
    else await run(job, active.length, succeeded, failed, completions);
    if (deadline !== undefined && !late) clock.after(started + deadline * 1000 - clock.now(), () => queue.add(key));
    const outcome = done ? 'Complete' : broken ? 'BackoffLimitExceeded' : late ? 'DeadlineExceeded' : undefined;
    await report(job, { succeeded, failed, started, outcome });
  }

  async function run(
    job: KubeObject,
    active: number,
    succeeded: number,
    failed: number,
    completions: number | undefined,
  ): Promise<void> {
    const parallelism = numberAt(job, 'spec', 'parallelism') ?? 1;
    const left = completions === undefined ? (succeeded > 0 ? active : parallelism) : completions - succeeded;
    const missing = Math.min(parallelism, left) - active;
    if (missing <= 0) return;
    const wait = retryInMs(job, failed);
    if (wait > 0) return void clock.after(wait, () => queue.add(keyOf(job)));
    for (let count = 0; count < missing; count++)
      await world.pods.create(podOf(JOB, job, objectAt(job, 'spec')['template'], {}));
  }

  /** A failed pod is replaced after 10 s, 20 s, 40 s … */
  function retryInMs(job: KubeObject, failed: number): number {
    if (failed === 0) return 0;
    const ends = world.pods
      .ownedBy(job.metadata.uid)
      .flatMap((pod) =>
        listAt(pod, 'status', 'containerStatuses').map((item) =>
          Date.parse(textAt(item, 'state', 'terminated', 'finishedAt') ?? ''),
        ),
      );
    const last = Math.max(0, ...ends.filter((time) => !Number.isNaN(time)));
    return last + Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** (failed - 1)) - clock.now();
  }

  async function report(
    given: KubeObject,
    run: { succeeded: number; failed: number; started: number; outcome: string | undefined },
  ): Promise<void> {
    const job = world.jobs.get(keyOf(given)) ?? given;
    const now = clock.now();
    const active = world.pods.ownedBy(job.metadata.uid).filter(isActive);
    let conditions = listAt(job, 'status', 'conditions');
    if (run.outcome === 'Complete')
      conditions = withCondition(
        conditions,
        {
          type: 'Complete',
          status: 'True',
          reason: 'CompletionsReached',
          message: 'Reached expected number of succeeded pods',
        },
        now,
      );
    else if (run.outcome)
      conditions = withCondition(
        conditions,
        { type: 'Failed', status: 'True', reason: run.outcome, message: 'Job has failed' },
        now,
      );
    const status: JsonObject = {
      startTime: stamp(run.started),
      active: active.length,
      ready: active.filter(isReady).length,
      succeeded: run.succeeded,
      failed: run.failed,
      ...(conditions.length > 0 ? { conditions } : {}),
      ...(run.outcome === 'Complete' ? { completionTime: stamp(now) } : {}),
    };
    if (!equal(status, job['status'])) await world.jobs.update({ ...job, status }, 'status');
  }

  /** `ttlSecondsAfterFinished`. */
  async function expire(job: KubeObject): Promise<void> {
    const ttl = numberAt(job, 'spec', 'ttlSecondsAfterFinished');
    if (ttl === undefined) return;
    const end = Date.parse(String(condition(job, ended(job)!)?.['lastTransitionTime']));
    const wait = end + ttl * 1000 - clock.now();
    if (wait > 0) clock.after(wait, () => queue.add(keyOf(job)));
    else await world.jobs.delete(job);
  }

  return queue;
}
