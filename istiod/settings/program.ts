// SPDX-License-Identifier: Apache-2.0
// Istiod as one program among others: its name, its log, its place among replicas, what it keeps.
import { LEVELS, type Level } from '#lib/kit/log.ts';
import { LEASE_SECONDS } from '#lib/kube/leader.ts';
import type { Given } from './given.ts';

export function readProgram({ env, flags }: Given) {
  const level = parseLevel(flags['log_output_level'] ?? 'info');
  if (level === undefined) {
    env.problem('--log_output_level', `${flags['log_output_level']} is unknown`, `write one of ${LEVELS.join(', ')}`);
  }
  return {
    logLevel: level ?? ('info' as const),
    logFormat: flags['log_as_json'] === 'true' ? ('json' as const) : ('plain' as const),
    podName: env.string('POD_NAME', 'istiod'),
    /** The namespace istiod runs in, and by default the mesh's root namespace. */
    namespace: env.string('POD_NAMESPACE', 'istio-system'),
    /** Own revision; empty takes every object, whatever its label says. */
    revision: env.string('REVISION', ''),
    /** Name of istiod's own Service. */
    serviceName: env.string('AMBIT_ISTIOD_SERVICE', 'istiod'),
    /** How long a replica's right to write lasts without being renewed. */
    leaseSeconds: env.duration('AMBIT_LEASE_DURATION', LEASE_SECONDS * 1000) / 1000,
    /** Where versions of the configuration are kept; empty for nowhere. */
    historyFolder: env.string('AMBIT_HISTORY_FOLDER', ''),
    historyVersions: env.integer('AMBIT_HISTORY_VERSIONS', 1_000, { min: 2 }),
  };
}

/** The default scope's level of `default:info,ads:debug`, or a bare level. */
function parseLevel(text: string): Level | undefined {
  const items = text.split(',').map((item) => item.split(':'));
  const chosen = items.find(([scope]) => scope === 'default') ?? items[0];
  const name = (chosen?.[1] ?? chosen?.[0] ?? '').replace(/^warning$/, 'warn').replace(/^none$/, 'off');
  return LEVELS.find((level) => level === name);
}
