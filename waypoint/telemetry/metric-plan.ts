// SPDX-License-Identifier: Apache-2.0
// Which metrics are counted at a door and what their labels are, where telemetry settings change either.
import type { MetricOverride, MetricSettings } from '#lib/mesh/http/telemetry.ts';
import { type Labels, UNKNOWN } from '#lib/proxy/telemetry/labels.ts';
import type { RequestRecord } from '../record/request.ts';
import { type CelExpression, compileCel } from './cel.ts';

const PREFIX = 'istio_';
/** Of the value of a label that a request gives. */
const MOST = 256;

export class MetricPlan {
  /** Differs from that of any other plan of this process. */
  readonly id: number;
  readonly #settings: MetricSettings;
  /** Of all labels that requests give, by name. */
  readonly #expressions = new Map<string, CelExpression>();

  /** `complain` is told of expressions that cannot be read; their label is `unknown`. */
  constructor(id: number, settings: MetricSettings, complain: (message: string) => void) {
    this.id = id;
    this.#settings = settings;
    for (const { tags } of settings.overrides) {
      for (const { remove, value } of tags) {
        if (remove || this.#expressions.has(value)) continue;
        const read = compileCel(value);
        if (read.ok) this.#expressions.set(value, read.value);
        else complain(read.problems.map(({ message }) => message).join(', '));
      }
    }
  }

  /** What a request gives to labels, in a fixed order; null where it gives nothing to any. */
  valuesOf(record: RequestRecord): readonly string[] | null {
    if (this.#expressions.size === 0) return null;
    return [...this.#expressions.values()].map((expression) => {
      const value = expression(record);
      return value === undefined || value === null || value === '' ? UNKNOWN : String(value).slice(0, MOST);
    });
  }

  /** Labels of each of the metrics where they are not `labels`. */
  changesOf(
    metrics: readonly string[],
    labels: Labels,
    values: readonly string[] | null,
  ): Readonly<Record<string, Labels | null>> {
    const all = metrics.map((name) => [name, this.labelsOf(name, labels, values)] as const);
    return Object.fromEntries(all.filter(([, own]) => own !== labels));
  }

  /** Labels of one metric, `istio_requests_total`; null when it is not counted. */
  labelsOf(metric: string, labels: Labels, values: readonly string[] | null): Labels | null {
    if (this.#settings.disabled) return null;
    const override = this.#overrideOf(metric);
    if (override === undefined) return labels;
    if (override.disabled) return null;
    const changed: Record<string, string> = { ...labels };
    for (const { name, remove, value } of override.tags) {
      if (remove) delete changed[name];
      else changed[name] = values?.[[...this.#expressions.keys()].indexOf(value)] ?? UNKNOWN;
    }
    return changed;
  }

  #overrideOf(metric: string): MetricOverride | undefined {
    const { overrides } = this.#settings;
    const name = metric.startsWith(PREFIX) ? metric.slice(PREFIX.length) : metric;
    return overrides.find((one) => one.metric === name) ?? overrides.find((one) => one.metric === '');
  }
}
