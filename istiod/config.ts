// SPDX-License-Identifier: Apache-2.0
// Settings of istiod: flags as Istio's own has them, the rest from the environment. Read once, checked together. Each
// group of them is a file in settings/, which says of each what it means and where it comes from.

import { ConfigReader } from '#lib/kit/config.ts';
import { readAuthority } from './settings/authority.ts';
import { readCallers } from './settings/callers.ts';
import { type Flags, Given } from './settings/given.ts';
import { readMesh } from './settings/mesh.ts';
import { readPorts } from './settings/ports.ts';
import { readProgram } from './settings/program.ts';
import { readSources } from './settings/sources.ts';
import { readWriters } from './settings/writers.ts';

export type IstiodConfig = ReturnType<typeof readConfig>;

/** Reads every setting and freezes the lot; throws CONFIG_INVALID with all that is wrong. */
export function readConfig(flags: Flags, lookup: (name: string) => string | undefined) {
  const env = new ConfigReader(lookup);
  const given = new Given(flags, env);
  const program = readProgram(given);
  const config = {
    ...program,
    ...readPorts(given),
    ...readSources(given),
    ...readMesh(given),
    ...readCallers(given, program.namespace),
    ...readAuthority(given),
    ...readWriters(given),
  };
  env.assertValid();
  return Object.freeze(config);
}
