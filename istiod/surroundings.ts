// SPDX-License-Identifier: Apache-2.0
// What every part of istiod is given.

import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import type { IstiodConfig } from './config.ts';
import type { IstiodMetrics } from './metrics.ts';
import type { SourceHealth } from './watch/source-health.ts';

export interface Surroundings {
  readonly config: IstiodConfig;
  readonly client: KubeClient;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: IstiodMetrics;
  /** How the sources of objects fare. */
  readonly health: SourceHealth;
}
