// SPDX-License-Identifier: Apache-2.0
// Takes what data-plane processes have to tell to whom it is for: a collector, by a queue each, or a file.
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { Provider } from '#lib/mesh/http/waypoint.ts';
import type { MeshView } from '#lib/mesh/view.ts';
import type { Exposition } from '#lib/proxy/telemetry/exposition.ts';
import { BatchQueue } from './batch-queue.ts';
import { LogFile } from './log-file.ts';
import { placeOf } from './place.ts';
import { decodeRecord, type ExportRecord, type LogRecord, type SpanRecord } from './record.ts';
import { type ProxyFacts, resourceOf } from './resource.ts';
import { logSender, type Sender, type SenderOptions, spanSender } from './sender.ts';

export interface ExporterOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly mesh: MeshView;
  readonly facts: ProxyFacts;
  readonly exposition: Pick<Exposition, 'value'>;
}

/** What became of records. */
type ExportCount = 'sent' | 'overflowed' | 'refused';

/** One way out. */
interface Outlet {
  readonly provider: Provider;
  add(record: ExportRecord): void;
  count(which: ExportCount): number;
  close(deadlineMs: number): Promise<void>;
}

/** What is left when the proxy ends is sent within this time. */
const CLOSE_MS = 2000;

export class Exporter {
  readonly #options: ExporterOptions;
  readonly #outlets = new Map<string, Outlet>();
  /** What outlets of that name had counted that are gone. */
  readonly #retired = new Map<string, Record<ExportCount, number>>();
  #providers: ReadonlyMap<string, Provider> = new Map();

  constructor(options: ExporterOptions) {
    this.#options = options;
  }

  /** The providers there are from now on. What is said to one that changed begins anew. */
  configure(providers: readonly Provider[]): void {
    this.#providers = new Map(providers.map((provider) => [provider.name, provider]));
    for (const [name, outlet] of this.#outlets) {
      const now = this.#providers.get(name);
      if (now === undefined || JSON.stringify(now) !== JSON.stringify(outlet.provider)) this.#retire(name, outlet);
    }
  }

  /** A line of the ring. */
  take(line: string): void {
    const record = decodeRecord(line);
    this.#outlet(record.to)?.add(record);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#outlets.values()].map((outlet) => outlet.close(CLOSE_MS)));
  }

  #outlet(name: string): Outlet | undefined {
    const known = this.#outlets.get(name);
    if (known !== undefined) return known;
    const provider = this.#providers.get(name);
    const outlet = provider === undefined ? undefined : this.#open(provider);
    if (outlet === undefined) return undefined;
    this.#outlets.set(name, outlet);
    if (!this.#retired.has(name)) {
      const before = { sent: 0, overflowed: 0, refused: 0 };
      this.#retired.set(name, before);
      this.#expose(name, (which) => before[which] + (this.#outlets.get(name)?.count(which) ?? 0));
    }
    return outlet;
  }

  #expose(provider: string, read: (which: ExportCount) => number): void {
    const { exposition } = this.#options;
    exposition.value('ambit_telemetry_sent_total', { provider }, () => read('sent'));
    const lost = (reason: string, which: ExportCount): void =>
      exposition.value('ambit_telemetry_dropped_total', { provider, reason }, () => read(which));
    lost('queue_full', 'overflowed');
    lost('refused', 'refused');
  }

  #retire(name: string, outlet: Outlet): void {
    this.#outlets.delete(name);
    const before = this.#retired.get(name);
    void outlet.close(CLOSE_MS).then(() => {
      if (before === undefined) return;
      for (const which of ['sent', 'overflowed', 'refused'] as const) before[which] += outlet.count(which);
    });
  }

  #open(provider: Provider): Outlet | undefined {
    const { clock, facts, log, mesh, random } = this.#options;
    const options: SenderOptions = {
      provider,
      place: () => placeOf(mesh, provider.target, random),
      resource: resourceOf(provider, facts),
      scope: { name: 'ambit', version: facts.version },
      now: () => clock.now(),
    };
    switch (provider.kind) {
      case 'otlp-trace':
      case 'zipkin-trace':
        return this.#queued<SpanRecord>(provider, spanSender(options));
      case 'otlp-log':
        return this.#queued<LogRecord>(provider, logSender(options));
      case 'file-log': {
        const file = new LogFile(provider.path, clock, (error) =>
          log.error('an access log cannot be written', { file: provider.path, error: describeError(error) }),
        );
        return {
          provider,
          add: (record) => {
            if (record.kind === 'log') file.line(record.text);
          },
          count: (which) => (which === 'sent' ? file.written : which === 'overflowed' ? file.dropped : 0),
          close: () => file.close(),
        };
      }
      default:
        return undefined;
    }
  }

  #queued<T extends ExportRecord>(provider: Provider, sender: Sender<T>): Outlet {
    const { clock, log, random } = this.#options;
    const queue = new BatchQueue<T>({ name: provider.name, send: (batch) => sender.send(batch), clock, random, log });
    return {
      provider,
      // Workers say what a provider is for.
      add: (record) => queue.add(record as T),
      count: (which) => queue[which],
      close: async (deadlineMs) => {
        await queue.close(deadlineMs);
        sender.close();
      },
    };
  }
}
