// SPDX-License-Identifier: Apache-2.0
// How long the series of requests and streams are told, where the pods they tell of come and go.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AgingMap } from '#lib/kit/aging-map.ts';
import { partyOf } from '#lib/proxy/telemetry/party.ts';
import { FADE_MS } from '#lib/proxy/worker/fading.ts';
import { workload } from '#lib/testkit/mesh.ts';
import { ScrapedCounters } from '#lib/testkit/scraped-counters.ts';
import type { ToMain } from '../control.ts';
import { exposeRequests } from '../data-plane.ts';
import type { Exchange } from '../path/exchange.ts';
import type { Origin } from '../path/origin.ts';
import { FAMILIES } from '../telemetry/families.ts';
import { Telemetry } from './telemetry.ts';

/** A client's connection from that pod. */
function originOf(pod: string): Origin {
  const party = partyOf(workload({ uid: `uid of ${pod}`, name: pod, workloadName: pod, canonicalName: pod }));
  const door = { behind: { kind: 'listener' }, observer: { loggers: [], metrics: null } };
  return { door, identity: undefined, party, series: new AgingMap({ most: 8 }) } as unknown as Origin;
}

class Rig extends ScrapedCounters {
  readonly telemetry: Telemetry;

  constructor() {
    super(FAMILIES, 2000);
    this.telemetry = new Telemetry({
      ...this.options,
      toMain: (message) => this.#told(message),
      clusterId: 'c',
      isGone: (uid) => this.gone.has(uid),
    });
  }

  /** A request that is over. */
  ask(origin: Origin): void {
    this.telemetry.requestEnded({
      ...{
        origin,
        member: null,
        status: 200,
        flags: '',
        grpc: false,
        grpcStatus: -1,
        messages: null,
        begunAt: this.now,
      },
      ...{ cluster: null, stream: { received: 1, sent: 2 }, runtime: { loop: { now: this.now } } },
    } as unknown as Exchange);
  }

  /** Samples of that name and pod. */
  samples(name: string, pod: string): number[] {
    const lines = this.exposition.text().split('\n');
    const own = lines.filter((line) => line.startsWith(`${name}{`) && line.includes(`source_workload="${pod}"`));
    return own.map((line) => Number(line.split(' ').at(-1)));
  }

  #told(message: ToMain): void {
    if (message.kind === 'request-series') exposeRequests(this.exposition, this.counters, message);
    if (message.kind === 'series' || message.kind === 'series-gone') this.onMain(message);
  }
}

test('requests of a pod that is gone are told for a while, then forgotten with their histograms, and counted anew', () => {
  const rig = new Rig();
  const [one, two] = [originOf('one'), originOf('two')];
  for (const origin of [one, two]) rig.ask(origin);
  rig.gone.add('uid of one');
  rig.pass(FADE_MS);
  rig.ask(one);
  rig.pass(FADE_MS);
  assert.deepEqual(rig.samples('istio_requests_total', 'one'), [2]);
  rig.pass(60_000);
  assert.doesNotMatch(rig.exposition.text(), /source_workload="one"/);
  assert.deepEqual(rig.samples('istio_requests_total', 'two'), [1]);
  rig.ask(one);
  assert.deepEqual(rig.samples('istio_requests_total', 'one'), [1], 'the connection remembers no slot of before');
  assert.deepEqual(rig.samples('istio_request_bytes_sum', 'one'), [1]);
});

test('clients that come and go take no more slots than there are at a time', () => {
  const rig = new Rig();
  for (let n = 0; n < 200; n++) {
    const origin = originOf(`job-${n}`);
    rig.ask(origin);
    rig.telemetry.stream(origin, null, 'opened', 0, 0, '');
    rig.telemetry.stream(origin, null, 'closed', 5, 6, '');
    rig.gone.add(`uid of job-${n}`);
    rig.pass(30_000);
  }
  assert.deepEqual(rig.samples('istio_requests_total', 'job-199'), [1]);
  assert.deepEqual(rig.samples('istio_tcp_sent_bytes_total', 'job-199'), [6]);
  rig.pass(2 * FADE_MS);
  assert.doesNotMatch(rig.exposition.text(), /job-/);
});
