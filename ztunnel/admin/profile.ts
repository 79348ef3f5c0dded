// SPDX-License-Identifier: Apache-2.0
// `/debug/pprof/…`: where time and memory go, of the main process or of one data-plane process (`process=0`). Paths and parameters are
// Istio's; what is answered are V8's own formats, since Go's would say nothing of JavaScript.
import { type AdminRequest, type Reply, type Route, text } from '#lib/kit/admin.ts';
import type { Clock } from '#lib/kit/clock.ts';
import { HeapSampler, startCpuProfile } from '#lib/kit/profile.ts';

export interface ProfileParts {
  readonly clock: Clock;
  /** A CPU profile of a data-plane process; undefined when there is none by that index, or it does not answer. */
  readonly ofProcess: (index: number, seconds: number, frequency: number) => Promise<string | undefined>;
}

export function profileRoutes({ clock, ofProcess }: ProfileParts): Readonly<Record<string, Route>> {
  const heap = new HeapSampler();
  let busy = false;
  return {
    '/debug/pprof/profile': async ({ query }) => {
      const seconds = within(query, 'seconds', 10, 300);
      const frequency = within(query, 'frequency', 100, 1000);
      if (seconds === undefined) return text('seconds must be 1 to 300\n', 400);
      if (frequency === undefined) return text('frequency must be 1 to 1000\n', 400);
      if (busy) return text('another profile is being taken\n', 503);
      busy = true;
      try {
        const index = query.get('process') ?? 'main';
        if (index !== 'main') {
          const profile = await ofProcess(Number(index), seconds, frequency);
          return profile === undefined
            ? text(`no data-plane process ${index} answers\n`, 404)
            : file('cpuprofile', profile);
        }
        const profile = startCpuProfile(frequency);
        await clock.sleep(seconds * 1000);
        return file('cpuprofile', profile.stop());
      } finally {
        busy = false;
      }
    },
    '/debug/pprof/heap': () =>
      heap.active
        ? file('heapprofile', heap.profile())
        : text('heap profiling is off: /debug/pprof/heap/profiling?activate=true\n', 409),
    '/debug/pprof/heap/profiling': ({ query }: AdminRequest) => {
      const activate = query.get('activate');
      if (activate === 'true') heap.activate();
      else if (activate === 'false') heap.deactivate();
      else return text('needs activate=true or activate=false\n', 400);
      return text(`heap profiling is ${heap.active ? 'on' : 'off'}\n`);
    },
  };
}

function within(query: URLSearchParams, name: string, fallback: number, max: number): number | undefined {
  const given = query.get(name);
  const value = given === null ? fallback : Number(given);
  return Number.isInteger(value) && value >= 1 && value <= max ? value : undefined;
}

function file(kind: string, body: string): Reply {
  return {
    type: 'application/json',
    body,
    headers: { 'content-disposition': `attachment; filename="ztunnel.${kind}"` },
  };
}
