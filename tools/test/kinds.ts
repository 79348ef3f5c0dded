// SPDX-License-Identifier: Apache-2.0
// The kinds of test, told apart by file name, so that a folder never decides how a test runs.
import { globSync } from 'node:fs';

export type Kind = 'unit' | 'net' | 'e2e' | 'fuzz';

/** Seconds one file of a kind may take before it counts as stuck. */
export const TIMEOUT_S: Readonly<Record<Kind, number>> = { unit: 60, net: 120, e2e: 600, fuzz: 900 };

/** The files of a kind below `root`, sorted, as paths from there. */
export function filesOf(kind: Kind, root: string): string[] {
  const all = (pattern: string): string[] => globSync(pattern, { cwd: root }).sort();
  switch (kind) {
    case 'unit':
      return all(
        '{lib,ztunnel,waypoint,istiod,cni,cli,playground,tools,e2e/load,e2e/soak,e2e/harness,e2e/interop}/**/*.test.ts',
      ).filter((file) => !file.endsWith('.net.test.ts'));
    case 'net':
      return all('{lib,ztunnel,waypoint,istiod,cni,cli,playground}/**/*.net.test.ts');
    case 'e2e':
      return all('e2e/cases/*.test.ts');
    case 'fuzz':
      return all('{lib,ztunnel,waypoint}/**/*.fuzz.ts');
  }
}
