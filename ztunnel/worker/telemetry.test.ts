// SPDX-License-Identifier: Apache-2.0
// How long a series of connections is told: pods come and go, and what was counted of them must neither vanish too soon nor stay for ever.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { partyOf } from '#lib/proxy/telemetry/party.ts';
import { FADE_MS } from '#lib/proxy/worker/fading.ts';
import { workload } from '#lib/testkit/mesh.ts';
import { ScrapedCounters } from '#lib/testkit/scraped-counters.ts';
import type { ConnectionEnd, ConnectionRecord } from '../telemetry/connection.ts';
import { FAMILIES } from '../telemetry/families.ts';
import { HttpMetrics } from './http-metrics.ts';
import { Telemetry } from './telemetry.ts';

const END: ConnectionEnd = { flag: '-', error: '', receivedBytes: 0, sentBytes: 0, durationMs: 1 };
const OPENED = /^istio_tcp_connections_opened_total\{.*source_workload="(.*?)".*\} (.*)$/gm;

/** A connection of that pod to one that stays. */
function record(pod: string, workloadName = pod): ConnectionRecord {
  const source = workload({ uid: `uid of ${pod}`, name: pod, workloadName, canonicalName: workloadName });
  return {
    direction: 'outbound',
    ...{ traceId: '', security: 'mutual_tls', sourceAddress: '10.0.0.1:41000', sourceIdentity: 'spiffe://c/ns/n/sa/s' },
    ...{
      destinationAddress: '10.0.0.2:15008',
      hboneAddress: '10.0.0.2:80',
      destinationIdentity: '',
      service: undefined,
    },
    source: partyOf(source),
    destination: partyOf(workload({ uid: 'stays', name: 'orders' })),
  };
}

class Rig extends ScrapedCounters {
  readonly telemetry: Telemetry;
  readonly httpMetrics: HttpMetrics;

  constructor() {
    super(FAMILIES, 1000);
    this.telemetry = new Telemetry({
      ...this.options,
      toMain: (message) => {
        if (message.kind === 'series' || message.kind === 'series-gone') this.onMain(message);
      },
      ...{ format: 'plain', accessLog: false, openedLog: false, dnsLog: false },
      isGone: ({ uid }) => this.gone.has(uid),
    });
    const settings = { mode: 'all', cpuShare: 1, maxConnections: 10 } as const;
    const clock = (): number => this.now;
    this.httpMetrics = new HttpMetrics(settings, this.telemetry, clock, clock);
  }

  /** Opens a connection and closes it. */
  connect(of: ConnectionRecord): void {
    this.telemetry.closed(of, this.telemetry.opened(of), END);
  }

  override fade(): void {
    this.httpMetrics.fade(this.now);
    super.fade();
  }

  /** What a scrape tells: connections opened, by the source's workload. */
  scrape(): Record<string, number> {
    return Object.fromEntries([...this.exposition.text().matchAll(OPENED)].map(([, name, n]) => [name, Number(n)]));
  }
}

test('a series goes when its pod is gone and nothing was counted for a while, and begins anew if it comes back', () => {
  const rig = new Rig();
  rig.connect(record('one'));
  rig.connect(record('two'));
  rig.pass(10 * FADE_MS);
  assert.deepEqual(rig.scrape(), { one: 1, two: 1 }, 'both are there still');
  rig.gone.add('uid of one');
  rig.connect(record('one'));
  rig.pass(FADE_MS);
  assert.deepEqual(rig.scrape(), { one: 2, two: 1 }, 'what was counted last has to be seen');
  rig.pass(60_000);
  assert.deepEqual(rig.scrape(), { two: 1 });
  assert.doesNotMatch(rig.exposition.text(), /="one"/);
  rig.connect(record('one'));
  assert.deepEqual(rig.scrape(), { one: 1, two: 1 });
});

test('a series stays while a connection that it counts is open', () => {
  const rig = new Rig();
  const of = record('one');
  const series = rig.telemetry.opened(of);
  rig.gone.add('uid of one');
  rig.pass(10 * FADE_MS);
  rig.telemetry.add(series.received, 5);
  assert.match(rig.exposition.text(), /istio_tcp_received_bytes_total\{.*"one".*\} 5\n/);
  rig.telemetry.closed(of, series, { ...END, flag: 'CONNECT' });
  rig.pass(2 * FADE_MS);
  assert.doesNotMatch(rig.exposition.text(), /="one"/);
});

test('a series of many pods stays while the pod that was counted last does', () => {
  const rig = new Rig();
  rig.connect(record('web-1', 'web'));
  rig.gone.add('uid of web-1');
  rig.connect(record('web-2', 'web'));
  rig.pass(10 * FADE_MS);
  assert.deepEqual(rig.scrape(), { web: 2 });
});

test('pods that come and go take no more slots than there are at a time', () => {
  const rig = new Rig();
  for (let n = 0; n < 500; n++) {
    rig.connect(record(`job-${n}`));
    rig.httpMetrics.exchange(record(`job-${n}`), 1, 'GET', 200, rig.now);
    rig.gone.add(`uid of job-${n}`);
    rig.pass(30_000);
  }
  const last = rig.scrape();
  assert.equal(last['job-499'], 1, 'there was room for the last one');
  assert.ok(Object.keys(last).length <= FADE_MS / 30_000 + 2, JSON.stringify(last));
  assert.match(rig.exposition.text(), /ambit_http_requests_total\{.*"job-499".*\} 1\n/);
  rig.pass(2 * FADE_MS);
  assert.doesNotMatch(rig.exposition.text(), /job-/);
});
