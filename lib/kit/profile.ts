// SPDX-License-Identifier: Apache-2.0
// Profiles of the own thread, as V8 takes them: Chrome's developer tools and speedscope read the results. The inspector is loaded when it
// is first asked for, since most processes never are.
import type { Session } from 'node:inspector';

/** A CPU profile under way. */
export interface CpuProfile {
  /** Ends it; the text of a `.cpuprofile` file. */
  stop(): string;
}

/** Starts sampling the stack `frequency` times a second. */
export function startCpuProfile(frequency: number): CpuProfile {
  const session = connect();
  command(session, 'Profiler.enable');
  command(session, 'Profiler.setSamplingInterval', { interval: Math.round(1e6 / frequency) });
  command(session, 'Profiler.start');
  return {
    stop: () => {
      const { profile } = command(session, 'Profiler.stop') as { profile: unknown };
      session.disconnect();
      return JSON.stringify(profile);
    },
  };
}

/** Samples allocations while it is active. */
export class HeapSampler {
  #session: Session | undefined;

  get active(): boolean {
    return this.#session !== undefined;
  }

  activate(): void {
    if (this.#session !== undefined) return;
    this.#session = connect();
    command(this.#session, 'HeapProfiler.enable');
    command(this.#session, 'HeapProfiler.startSampling');
  }

  deactivate(): void {
    this.#session?.disconnect();
    this.#session = undefined;
  }

  /** The text of a `.heapprofile` file: what lives of that which was allocated since `activate`. Empty while it is not active. */
  profile(): string {
    if (this.#session === undefined) return '';
    const { profile } = command(this.#session, 'HeapProfiler.getSamplingProfile') as { profile: unknown };
    return JSON.stringify(profile);
  }
}

function connect(): Session {
  const { Session } = process.getBuiltinModule('node:inspector');
  const session = new Session();
  session.connect();
  return session;
}

// A session on the own thread answers before `post` returns.
function command(session: Session, method: string, params: object = {}): unknown {
  let answer: unknown;
  session.post(method, params, (error, result) => {
    if (error !== null) throw error;
    answer = result;
  });
  return answer;
}
