// SPDX-License-Identifier: Apache-2.0
// What the node proxy and the waypoint have in common as programs: their commands, what they read of the world, and how a signal ends them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { runMain } from '#lib/kit/main.ts';

export interface ProxyApp {
  start(): Promise<void>;
  /** Begins to end; `reason` is for the log. */
  stop(reason: string): void;
  /** The exit code, when it has ended. */
  whenEnded(): Promise<number>;
}

/** What an app is made of. */
export interface AppOptions<Config> {
  readonly config: Config;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  readonly version: string;
  /** Environment of data-plane processes. */
  readonly workerEnv: Readonly<Record<string, string>>;
}

/** What an app is given besides its own configuration. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly version: string;
  /** Environment of data-plane processes. */
  readonly workerEnv: Readonly<Record<string, string>>;
}

/** Runs the command that the arguments name; `create` makes the app of `proxy`. */
export async function runProxy(help: string, create: (given: Surroundings) => Promise<ProxyApp>): Promise<void> {
  await runMain(async (argv, env) => {
    const text = readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8');
    const { version } = JSON.parse(text) as { version: string };
    const command = commandOf(argv);
    if (command !== 'proxy') {
      process.stdout.write(command === 'version' ? `${version}\n` : help);
      return 0;
    }
    const app = await create({ env, version, workerEnv: workerEnv(env) });
    let interrupts = 0;
    process.on('SIGTERM', () => app.stop('SIGTERM'));
    process.on('SIGINT', () => {
      if (interrupts++ > 0) process.exit(130);
      app.stop('SIGINT');
    });
    await app.start();
    return await app.whenEnded();
  });
}

/** Arguments as Istio's images pass them; whatever follows `proxy` is not looked at. Throws CONFIG_INVALID. */
export function commandOf(argv: readonly string[]): 'proxy' | 'version' | 'help' {
  const [first = 'proxy'] = argv;
  if (first === 'proxy' || first === 'version' || first === 'help') return first;
  if (first === '--help' || first === '-h') return 'help';
  throw new AmbitError('CONFIG_INVALID', `unknown command ${JSON.stringify(first)}`, {
    advice: 'use proxy, version or help',
  });
}

/** Text of a file, undefined when there is none. */
export function readFileIfAny(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

// Data-plane processes are told everything by message; of the environment they get what Node itself needs.
function workerEnv(env: NodeJS.ProcessEnv): Record<string, string> {
  const kept = ['PATH', 'NODE_COMPILE_CACHE', 'TZ'].flatMap((name) =>
    env[name] === undefined ? [] : [[name, env[name]]],
  );
  return Object.fromEntries(kept) as Record<string, string>;
}
