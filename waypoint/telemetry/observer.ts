// SPDX-License-Identifier: Apache-2.0
// What is told of requests at a door: to whom lines go, whether they are traced, how they are counted. Made once for each piece of
// telemetry settings.
import type { Telemetry as TelemetrySettings } from '#lib/mesh/http/telemetry.ts';
import type { Provider, WaypointSettings } from '#lib/mesh/http/waypoint.ts';
import type { WorkerSettings } from '../control.ts';
import { DoorTracer } from '../tracing/door-tracer.ts';
import type { TracingMeans } from '../tracing/means.ts';
import type { Tracer } from '../tracing/tracer.ts';
import { type AccessLogger, loggerOf, standardLogger } from './access-logger.ts';
import type { LogFacts } from './log-fields.ts';
import { MetricPlan } from './metric-plan.ts';

export interface DoorObserver {
  /** null: nobody is followed here. */
  readonly tracer: Tracer | null;
  readonly loggers: readonly AccessLogger[];
  /** null: everything is counted as it is. */
  readonly metrics: MetricPlan | null;
  /** Lines tell headers of answers. */
  readonly wantsAnswer: boolean;
}

export interface ObserversOptions {
  readonly accessLog: WorkerSettings['accessLog'];
  readonly facts: LogFacts;
  readonly tracing: TracingMeans;
  readonly complain: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

export class Observers {
  readonly #options: ObserversOptions;
  readonly #standard: DoorObserver;
  readonly #known = new WeakMap<
    TelemetrySettings,
    { readonly of: WaypointSettings; readonly observer: DoorObserver }
  >();
  #plans = 0;

  constructor(options: ObserversOptions) {
    this.#options = options;
    const { enabled, format } = options.accessLog;
    const loggers = enabled ? [standardLogger(format)] : [];
    this.#standard = { tracer: null, loggers, metrics: null, wantsAnswer: false };
  }

  of(settings: TelemetrySettings | undefined, waypoint: WaypointSettings): DoorObserver {
    if (settings === undefined) return this.#standard;
    const known = this.#known.get(settings);
    if (known?.of === waypoint) return known.observer;
    const observer = this.#observe(settings, waypoint);
    this.#known.set(settings, { of: waypoint, observer });
    return observer;
  }

  #observe({ accessLogs, metrics, name, tracing }: TelemetrySettings, { providers }: WaypointSettings): DoorObserver {
    const { complain, facts, tracing: means } = this.#options;
    const tell = (message: string): void => complain('telemetry settings cannot be used whole', { name, message });
    const provider = (wanted: string, purpose: string): Provider | undefined => {
      const found = providers.find((one) => one.name === wanted);
      if (found === undefined) tell(`there is no provider ${wanted} for ${purpose}`);
      return found;
    };
    const loggers =
      accessLogs === undefined
        ? this.#standard.loggers
        : accessLogs.loggers.flatMap((one) => {
            const to = provider(one.provider, 'access logs');
            return (to && loggerOf(one, to, facts, tell)) ?? [];
          });
    const collector = tracing === undefined ? undefined : provider(tracing.provider, 'traces');
    return {
      tracer: tracing === undefined || collector === undefined ? null : new DoorTracer(tracing, collector, means),
      loggers,
      metrics: metrics === undefined ? null : new MetricPlan(this.#plans++, metrics, tell),
      wantsAnswer: loggers.some(({ responseHeaders }) => responseHeaders.length > 0),
    };
  }
}
