// SPDX-License-Identifier: Apache-2.0
// The kinds of test, told apart by file name, so that a folder never decides how a test runs.
import { globSync } from 'node:fs';

export type Kind = 'unit' | 'net' | 'e2e' | 'fuzz';

/** Seconds one file of a kind may take before it counts as stuck. */
export const TIMEOUT_S: Readonly<Record<Kind, number>> = { unit: 180, net: 300, e2e: 900, fuzz: 3600 };

/**
 * Kinds whose tests live with a real kernel and a wall clock, which a busy machine can hold up: a few files of theirs
 * that fail are run again on their own, and the run says so. Unit tests have no such excuse.
 */
export const RUN_AGAIN: readonly Kind[] = ['net', 'e2e'];

/** More files than this failing together are no accident, and are not run again. */
export const AGAIN_AT_MOST = 2;

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
