// SPDX-License-Identifier: Apache-2.0
// Where the node proxies of a benchmark get their certificates: the same authority for each implementation, since only
// ours has one built in.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../../harness/eventually.ts';
import { type Background, background } from '../../harness/run.ts';

const PORT = 15112;
const PROGRAM = join(import.meta.dirname, '../authority.ts');

export interface RunningAuthority {
  /** Settings by which a program with ztunnel's contract finds it. */
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** Starts it where `inside` runs commands; its root certificate goes into `folder`. */
export async function startAuthority(
  inside: (words: readonly string[]) => readonly [string, ...string[]],
  folder: string,
): Promise<RunningAuthority> {
  const [command, ...args] = inside([
    ...[process.execPath, '--disable-warning=ExperimentalWarning', PROGRAM, String(PORT)],
  ]);
  const running: Background = background(command, args);
  const root = join(folder, 'root-cert.pem');
  try {
    const [pem] = await eventually(
      'the authority to listen',
      () => /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/.exec(running.output()) ?? undefined,
    );
    writeFileSync(root, pem, { mode: 0o644 });
  } catch (error) {
    await running.stop('SIGKILL');
    throw new Error(`the authority does not start:\n${running.output()}`, { cause: error });
  }
  return {
    env: { CA_ADDRESS: `https://localhost:${PORT}`, CA_ROOT_CA: root },
    stop: () => running.stop('SIGKILL'),
  };
}
